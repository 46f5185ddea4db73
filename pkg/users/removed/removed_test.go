package removed

import (
	"errors"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/portolan-dev/portolan/pkg/rbac"
	"github.com/portolan-dev/portolan/pkg/users"
)

func decide(t *testing.T, u *Users, name string) (authorizer.Decision, error) {
	t.Helper()
	who := &user.DefaultInfo{Name: name, Groups: []string{"system:masters"}}
	decision, _, err := u.Authorize(t.Context(), authorizer.AttributesRecord{User: who})
	return decision, err
}

// TestAuthorize expects removed users to be denied for as long as a binding names them, and
// everybody but the server itself before the bindings are known.
func TestAuthorize(t *testing.T) {
	u := New()
	if decision, err := decide(t, u, "ann"); decision != authorizer.DecisionDeny || !errors.Is(err, rbac.ErrUnknown) {
		t.Errorf("before: %v, %v", decision, err)
	}
	if decision, err := decide(t, u, user.APIServerUser); decision != authorizer.DecisionNoOpinion || err != nil {
		t.Errorf("the server itself: %v, %v", decision, err)
	}
	u.synced = func() bool { return true }
	for _, step := range []struct {
		binding  string
		names    []string
		ann, bob authorizer.Decision
	}{
		{"a", nil, authorizer.DecisionNoOpinion, authorizer.DecisionNoOpinion},
		{"a", []string{"ann", "bob", user.APIServerUser}, authorizer.DecisionDeny, authorizer.DecisionDeny},
		{"b", []string{"ann"}, authorizer.DecisionDeny, authorizer.DecisionDeny},
		{"a", []string{"bob"}, authorizer.DecisionDeny, authorizer.DecisionDeny},
		{"b", nil, authorizer.DecisionNoOpinion, authorizer.DecisionDeny},
		{"a", nil, authorizer.DecisionNoOpinion, authorizer.DecisionNoOpinion},
	} {
		u.set(step.binding, step.names)
		for name, want := range map[string]authorizer.Decision{
			"ann": step.ann, "bob": step.bob, user.APIServerUser: authorizer.DecisionNoOpinion,
		} {
			if got, err := decide(t, u, name); got != want || err != nil {
				t.Errorf("after %s=%v: %s: %v, %v", step.binding, step.names, name, got, err)
			}
		}
	}
	if len(u.names)+len(u.bindings) > 0 {
		t.Errorf("left: %v, %v", u.names, u.bindings)
	}
}

func TestNames(t *testing.T) {
	binding := &rbacv1.ClusterRoleBinding{RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: users.Removed}, Subjects: []rbacv1.Subject{
		{Kind: rbacv1.UserKind, Name: "ann"}, {Kind: rbacv1.GroupKind, Name: "system:authenticated"},
	}}
	if got := Names(binding); len(got) != 1 || got[0] != "ann" {
		t.Errorf("got %v", got)
	}
	binding.RoleRef.Name = "view"
	if got := Names(binding); got != nil {
		t.Errorf("another role: %v", got)
	}
	if got, err := OnlyRemoved(binding); err != nil || len(got.(*rbacv1.ClusterRoleBinding).Subjects) > 0 {
		t.Errorf("it keeps %v, %v", got, err)
	}
}
