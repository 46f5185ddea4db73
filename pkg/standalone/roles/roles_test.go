package roles

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/portolan-dev/portolan/pkg/users"
)

// TestFillAggregated expects the server's own aggregated roles to have the rules of the
// roles that they select, directly or through another one.
func TestFillAggregated(t *testing.T) {
	all := users.Roles([]schema.GroupResource{{Resource: "services"}})
	if err := fillAggregated(all); err != nil {
		t.Fatal(err)
	}
	byName := map[string]rbacv1.ClusterRole{}
	for _, role := range all {
		byName[role.Name] = role
	}
	for name, parts := range map[string][]string{
		"view": {"view"}, "edit": {"view", "edit"}, "admin": {"view", "edit", "admin"},
	} {
		count := 0
		for _, part := range parts {
			rules := byName["system:aggregate-to-"+part].Rules
			count += len(rules)
			for _, rule := range rules {
				if !slices.ContainsFunc(byName[name].Rules, func(other rbacv1.PolicyRule) bool { return rule.String() == other.String() }) {
					t.Errorf("%s lacks %v", name, rule)
				}
			}
		}
		if got := len(byName[name].Rules); got != count {
			t.Errorf("%s has %d rules, want %d", name, got, count)
		}
	}
}
