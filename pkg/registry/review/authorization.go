package review

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/apis/core/validation"
)

// NewSubjectAccessReviews returns the storage of reviews that tell whether a user may do
// something.
func NewSubjectAccessReviews(config Config) rest.Storage {
	return &storage[*authorizationv1.SubjectAccessReview]{
		singular: "subjectaccessreview",
		new:      func() *authorizationv1.SubjectAccessReview { return &authorizationv1.SubjectAccessReview{} },
		check: func(_ context.Context, review *authorizationv1.SubjectAccessReview) error {
			return invalid(validation.ValidateSubjectAccessReview(review))
		},
		answer: func(ctx context.Context, review *authorizationv1.SubjectAccessReview) (runtime.Object, error) {
			review.Status = config.decide(ctx, attributesOf(review.Spec))
			return review, nil
		},
	}
}

// NewLocalSubjectAccessReviews returns the storage of the same reviews in a namespace.
func NewLocalSubjectAccessReviews(config Config) rest.Storage {
	return &storage[*authorizationv1.LocalSubjectAccessReview]{
		singular: "localsubjectaccessreview", namespaced: true,
		new: func() *authorizationv1.LocalSubjectAccessReview { return &authorizationv1.LocalSubjectAccessReview{} },
		check: func(ctx context.Context, review *authorizationv1.LocalSubjectAccessReview) error {
			if err := invalid(validation.ValidateLocalSubjectAccessReview(review)); err != nil {
				return err
			}
			if namespace := apirequest.NamespaceValue(ctx); namespace != review.Namespace {
				return apierrors.NewBadRequest(fmt.Sprintf("spec.resourceAttributes.namespace must match namespace: %v", namespace))
			}
			return nil
		},
		answer: func(ctx context.Context, review *authorizationv1.LocalSubjectAccessReview) (runtime.Object, error) {
			review.Status = config.decide(ctx, attributesOf(review.Spec))
			return review, nil
		},
	}
}

// NewSelfSubjectAccessReviews returns the storage of reviews that tell whether the caller
// may do something.
func NewSelfSubjectAccessReviews(config Config) rest.Storage {
	return &storage[*authorizationv1.SelfSubjectAccessReview]{
		singular: "selfsubjectaccessreview",
		new:      func() *authorizationv1.SelfSubjectAccessReview { return &authorizationv1.SelfSubjectAccessReview{} },
		check: func(_ context.Context, review *authorizationv1.SelfSubjectAccessReview) error {
			return invalid(validation.ValidateSelfSubjectAccessReview(review))
		},
		answer: func(ctx context.Context, review *authorizationv1.SelfSubjectAccessReview) (runtime.Object, error) {
			who, err := caller(ctx)
			if err != nil {
				return nil, err
			}
			review.Status = config.decide(ctx, attributes(who, review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes))
			return review, nil
		},
	}
}

// NewSelfSubjectRulesReviews returns the storage of reviews that list what the caller may
// do in a namespace.
func NewSelfSubjectRulesReviews(config Config) rest.Storage {
	return &storage[*authorizationv1.SelfSubjectRulesReview]{
		singular: "selfsubjectrulesreview",
		new:      func() *authorizationv1.SelfSubjectRulesReview { return &authorizationv1.SelfSubjectRulesReview{} },
		check: func(_ context.Context, review *authorizationv1.SelfSubjectRulesReview) error {
			if review.Spec.Namespace == "" {
				return apierrors.NewBadRequest("no namespace on request")
			}
			return nil
		},
		answer: func(ctx context.Context, review *authorizationv1.SelfSubjectRulesReview) (runtime.Object, error) {
			who, err := caller(ctx)
			if err != nil {
				return nil, err
			}
			resources, paths, incomplete, err := config.Rules.RulesFor(ctx, who, review.Spec.Namespace)
			answer := &authorizationv1.SelfSubjectRulesReview{Status: rulesStatus(resources, paths, incomplete)}
			if err != nil {
				answer.Status.EvaluationError = err.Error()
			}
			return answer, nil
		},
	}
}

func rulesStatus(resources []authorizer.ResourceRuleInfo, paths []authorizer.NonResourceRuleInfo,
	incomplete bool) authorizationv1.SubjectRulesReviewStatus {
	status := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules: []authorizationv1.ResourceRule{}, NonResourceRules: []authorizationv1.NonResourceRule{}, Incomplete: incomplete,
	}
	for _, rule := range resources {
		status.ResourceRules = append(status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: rule.GetVerbs(), APIGroups: rule.GetAPIGroups(), Resources: rule.GetResources(), ResourceNames: rule.GetResourceNames(),
		})
	}
	for _, rule := range paths {
		status.NonResourceRules = append(status.NonResourceRules, authorizationv1.NonResourceRule{
			Verbs: rule.GetVerbs(), NonResourceURLs: rule.GetNonResourceURLs(),
		})
	}
	return status
}

func (c Config) decide(ctx context.Context, a authorizer.AttributesRecord) authorizationv1.SubjectAccessReviewStatus {
	decision, reason, err := c.Authorizer.Authorize(ctx, a)
	return authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == authorizer.DecisionAllow, Denied: decision == authorizer.DecisionDeny, Reason: reason,
		EvaluationError: evaluationError(err, a),
	}
}

// invalid returns an error about a review. Like kube-apiserver's, it names no kind.
func invalid(errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: authorizationv1.GroupName}, "", errs)
}
