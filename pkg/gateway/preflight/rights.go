package preflight

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Right is what a user must be allowed to do.
type Right struct {
	authorizationv1.ResourceAttributes
	// For says what cannot be done without it.
	For string
}

// UserRights are the rights that the user of one kubeconfig needs.
type UserRights struct {
	// Flag names the kubeconfig.
	Flag   string
	Client kubernetes.Interface
	Rights []Right
}

// checkRights asks for each right whether the server's user has it.
func (c Config) checkRights(ctx context.Context) error {
	var problems []string
	for _, user := range c.Rights {
		missing, err := user.missing(ctx)
		switch {
		case apierrors.IsUnauthorized(err):
			problems = append(problems, fmt.Sprintf("the cluster does not accept the credentials in --%s", user.Flag))
		case apierrors.IsForbidden(err):
			problems = append(problems, fmt.Sprintf("the user of --%s may not even ask for its rights: %v", user.Flag, err))
		case err != nil:
			return err
		case len(missing) > 0:
			problems = append(problems, fmt.Sprintf("the user of --%s lacks rights: %s; artifacts/cluster/server/rbac.yaml has a role with them",
				user.Flag, strings.Join(missing, "; ")))
		}
	}
	if len(problems) > 0 {
		return finding(strings.Join(problems, "; "))
	}
	return nil
}

// missing describes the rights that a user lacks, grouped by what they are for.
func (u UserRights) missing(ctx context.Context) ([]string, error) {
	reviews := u.Client.AuthorizationV1().SelfSubjectAccessReviews()
	lacking := map[string][]string{}
	for _, right := range u.Rights {
		review, err := reviews.Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &right.ResourceAttributes},
		}, metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		if !review.Status.Allowed {
			lacking[right.For] = append(lacking[right.For], right.String())
		}
	}
	var texts []string
	for _, purpose := range slices.Sorted(maps.Keys(lacking)) {
		texts = append(texts, strings.Join(lacking[purpose], ", ")+" (for "+purpose+")")
	}
	return texts, nil
}

// String describes a right as kubectl auth can-i has it.
func (r Right) String() string {
	text := r.Verb + " " + r.Resource
	if r.Group != "" {
		text += "." + r.Group
	}
	if r.Subresource != "" {
		text += "/" + r.Subresource
	}
	if r.Name != "" {
		text += "/" + r.Name
	}
	if r.Namespace != "" {
		text += " in " + r.Namespace
	}
	return text
}
