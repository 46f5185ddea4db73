package users

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/portolan-dev/portolan/pkg/rbac"
)

// NewGroups returns the policy of a server that goes by the roles and bindings it has from
// the start, and by no others.
func NewGroups(served []schema.GroupResource) *rbac.Policy {
	policy := rbac.NewPolicy()
	for _, role := range Roles(served) {
		policy.SetRole("", role.Name, role.Rules)
	}
	for _, binding := range Bindings() {
		policy.SetBinding(rbac.Binding{Name: binding.Name, Subjects: binding.Subjects, Role: binding.RoleRef})
	}
	return policy
}
