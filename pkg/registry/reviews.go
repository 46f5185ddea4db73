package registry

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/pkg/registry/review"
)

// Review is a row of the table of reviews, which are answered and never stored.
type Review struct {
	GroupVersion schema.GroupVersion
	// Resource is the plural name.
	Resource string
	Storage  func(review.Config) rest.Storage
}

// Reviews returns the table of reviews. A standalone server with the core API groups serves
// them: a cluster has its own.
func Reviews() []Review {
	authentication, authorization := authenticationv1.SchemeGroupVersion, authorizationv1.SchemeGroupVersion
	return []Review{
		{authentication, "tokenreviews", review.NewTokenReviews},
		{authentication, "selfsubjectreviews", func(review.Config) rest.Storage { return review.NewSelfSubjectReviews() }},
		{authorization, "subjectaccessreviews", review.NewSubjectAccessReviews},
		{authorization, "selfsubjectaccessreviews", review.NewSelfSubjectAccessReviews},
		{authorization, "localsubjectaccessreviews", review.NewLocalSubjectAccessReviews},
		{authorization, "selfsubjectrulesreviews", review.NewSelfSubjectRulesReviews},
	}
}

// ReviewResources returns the resources of all reviews.
func ReviewResources() []schema.GroupResource {
	var resources []schema.GroupResource
	for _, review := range Reviews() {
		resources = append(resources, review.GroupVersion.WithResource(review.Resource).GroupResource())
	}
	return resources
}
