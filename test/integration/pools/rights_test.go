package pools

import (
	"context"
	"fmt"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestRights wants viewers and editors of the whole server to read pools and claims, and not
// to write them.
func TestRights(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	core, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	may := func(ctx context.Context, user, verb, resource string) (bool, error) {
		review, err := core.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group: v1.GroupName, Resource: resource, Verb: verb,
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			return false, err
		}
		return review.Status.Allowed, fmt.Errorf("%s may not %s %s", user, verb, resource)
	}
	for _, role := range []string{"view", "edit", "admin"} {
		user := "of-" + role
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: user},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
		}
		if _, err := core.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, resource := range []string{"loadbalancerpools", "loadbalancerips"} {
			framework.Eventually(t, role, func(ctx context.Context) (bool, error) { return may(ctx, user, "list", resource) })
			for _, verb := range []string{"create", "update", "patch", "delete"} {
				if allowed, _ := may(t.Context(), user, verb, resource); allowed {
					t.Errorf("%s may %s %s", role, verb, resource)
				}
			}
		}
	}
}
