package role

import (
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

func numbered(prefix string, count int) []string {
	values := make([]string, count)
	for i := range values {
		values[i] = fmt.Sprint(prefix, i)
	}
	return values
}

// TestMayCompare expects rules that break down into too many to be rejected, however small
// they are.
func TestMayCompare(t *testing.T) {
	of := func(count int) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: numbered("verb", count), APIGroups: numbered("group", count), Resources: numbered("resource", count)}
	}
	named := of(8)
	named.ResourceNames = numbered("name", 100)
	own := make([]rbacv1.PolicyRule, 500)
	long := rbacv1.PolicyRule{
		Verbs: numbered(fmt.Sprintf("%0100000d", 0), 4), APIGroups: []string{"", "a", "b"}, Resources: []string{"c"},
	}
	paths := rbacv1.PolicyRule{NonResourceURLs: numbered("/", 20), Verbs: []string{"get"}}
	for name, test := range map[string]struct {
		own, rules []rbacv1.PolicyRule
		want       bool
	}{
		"none":                   {nil, nil, true},
		"an ordinary role":       {own, []rbacv1.PolicyRule{of(4), of(8), paths}, true},
		"a large role":           {own, []rbacv1.PolicyRule{of(20)}, true},
		"many combinations":      {nil, []rbacv1.PolicyRule{of(300)}, false},
		"many names":             {nil, []rbacv1.PolicyRule{named}, false},
		"many paths":             {nil, []rbacv1.PolicyRule{{NonResourceURLs: numbered("/", 300), Verbs: numbered("", 300)}}, false},
		"long values":            {nil, []rbacv1.PolicyRule{long}, false},
		"many rules of the user": {make([]rbacv1.PolicyRule, 100_000), []rbacv1.PolicyRule{of(4)}, false},
		"many rules":             {nil, make([]rbacv1.PolicyRule, 10_000), true},
		"two large roles":        {nil, []rbacv1.PolicyRule{of(20), of(20)}, false},
	} {
		if got := mayCompare(test.own, test.rules); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestCompact expects rules that differ only in their verbs to become one.
func TestCompact(t *testing.T) {
	one := func(verb, group, resource string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names}
	}
	path := func(verb string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: []string{verb}, NonResourceURLs: []string{"/x"}}
	}
	merged := one("get", "", "pods")
	merged.Verbs = []string{"get", "list"}
	got := compact([]rbacv1.PolicyRule{
		one("get", "", "pods"), path("get"), one("get", "", "pods", ""), one("list", "", "pods"), one("get", "a", "pods"), path("list"),
	})
	want := []rbacv1.PolicyRule{merged, path("get"), one("get", "", "pods", ""), one("get", "a", "pods"), path("list")}
	if !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}
