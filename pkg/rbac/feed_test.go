package rbac

import (
	"errors"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

// TestFollow expects a policy to allow nothing until it has read all roles and bindings.
func TestFollow(t *testing.T) {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{rule("get", "", "pods")}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "b"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "r"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "ann"}},
	}
	factory := informers.NewSharedInformerFactory(fake.NewClientset(role, binding), 0)
	policy := NewPolicy()
	synced, err := policy.Follow(factory.Rbac().V1())
	if err != nil {
		t.Fatal(err)
	}
	// What arrives first must not count either.
	policy.SetRole("", "r", role.Rules)
	policy.SetBinding(Binding{Name: "b", Subjects: binding.Subjects, Role: binding.RoleRef})
	ann := &user.DefaultInfo{Name: "ann"}
	get := authorizer.AttributesRecord{User: ann, Verb: "get", Resource: "pods", Name: "a", ResourceRequest: true}
	if decision, _, err := policy.Authorize(t.Context(), get); decision != authorizer.DecisionNoOpinion || !errors.Is(err, ErrUnknown) {
		t.Errorf("before: %v, %v", decision, err)
	}
	if rules, err := policy.Rules(ann, ""); len(rules) > 0 || !errors.Is(err, ErrUnknown) {
		t.Errorf("before: %v, %v", rules, err)
	}
	if _, _, incomplete, err := policy.RulesFor(t.Context(), ann, ""); !incomplete || !errors.Is(err, ErrUnknown) {
		t.Errorf("before: %t, %v", incomplete, err)
	}
	factory.Start(t.Context().Done())
	for !synced() {
		if t.Context().Err() != nil {
			t.Fatal("it does not end")
		}
	}
	if decision, _, err := policy.Authorize(t.Context(), get); decision != authorizer.DecisionAllow || err != nil {
		t.Errorf("after: %v, %v", decision, err)
	}
}
