package rbac

import (
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

func rule(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		Verbs: strings.Split(verbs, ","), APIGroups: strings.Split(groups, ","), Resources: strings.Split(resources, ","), ResourceNames: names,
	}
}

// TestAllows checks one rule at a time.
func TestAllows(t *testing.T) {
	for _, test := range []struct {
		rule                                     rbacv1.PolicyRule
		verb, group, resource, subresource, name string
		want                                     bool
	}{
		{rule("get", "", "pods"), "get", "", "pods", "", "a", true},
		{rule("get", "", "pods"), "list", "", "pods", "", "", false},
		{rule("get", "", "pods"), "get", "apps", "pods", "", "a", false},
		{rule("get", "", "pods"), "get", "", "pods", "log", "a", false},
		{rule("*", "*", "*"), "anything", "apps", "pods", "log", "a", true},
		{rule("get", "", "pods/log"), "get", "", "pods", "log", "a", true},
		{rule("get", "", "pods/log"), "get", "", "pods", "", "a", false},
		{rule("get", "", "*/log"), "get", "", "pods", "log", "a", true},
		{rule("get", "", "*/log"), "get", "", "pods", "status", "a", false},
		{rule("get", "", "*/log"), "get", "", "pods", "", "a", false},
		{rule("get", "", "pods/*"), "get", "", "pods", "log", "a", false},
		{rule("get", "", "pods", "a", "b"), "get", "", "pods", "", "b", true},
		{rule("get", "", "pods", "a", "b"), "get", "", "pods", "", "c", false},
		{rule("list", "", "pods", "a"), "list", "", "pods", "", "", false},
		{rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"*"}}, "get", "", "pods", "", "a", false},
	} {
		a := authorizer.AttributesRecord{
			Verb: test.verb, APIGroup: test.group, Resource: test.resource, Subresource: test.subresource, Name: test.name, ResourceRequest: true,
		}
		if got := allows(&test.rule, a); got != test.want {
			t.Errorf("%v, %+v: %v", test.rule, a, got)
		}
	}
	for _, test := range []struct {
		url, path string
		want      bool
	}{
		{"*", "/a", true}, {"/a", "/a", true}, {"/a", "/a/b", false}, {"/a/*", "/a/b/c", true}, {"/a/*", "/a", false}, {"/a*", "/ab", true},
		{"/*/b", "/a/b", false},
	} {
		allowed := rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{test.url}}
		if got := allows(&allowed, authorizer.AttributesRecord{Verb: "get", Path: test.path}); got != test.want {
			t.Errorf("%s, %s: %v", test.url, test.path, got)
		}
	}
}

// TestPolicy follows roles and bindings as they change.
func TestPolicy(t *testing.T) {
	policy := NewPolicy()
	ann := &user.DefaultInfo{Name: "ann", Groups: []string{"people", "people"}}
	robot := &user.DefaultInfo{Name: "system:serviceaccount:x:robot"}
	expect := func(who user.Info, namespace, want string) {
		t.Helper()
		decision, reason, err := policy.Authorize(t.Context(), authorizer.AttributesRecord{
			User: who, Verb: "get", Resource: "pods", Name: "a", Namespace: namespace, ResourceRequest: true,
		})
		if got := fmt.Sprint(decision, " ", reason); got != want || err != nil {
			t.Errorf("%s in %q: got %s, %v\nwant %s", who.GetName(), namespace, got, err, want)
		}
	}
	ref := func(kind, name string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
	}
	expect(ann, "x", "NoOpinion ")

	everywhere := Binding{
		Name: "b", Subjects: []rbacv1.Subject{{Kind: "User", Name: "bob"}, {Kind: "Group", Name: "people"}}, Role: ref("ClusterRole", "r"),
	}
	policy.SetBinding(everywhere)
	expect(ann, "x", `NoOpinion RBAC: clusterrole.rbac.authorization.k8s.io "r" not found`)
	policy.SetRole("", "r", []rbacv1.PolicyRule{rule("get", "", "pods")})
	expect(ann, "x", `Allow RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to Group "people"`)
	expect(ann, "", `Allow RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to Group "people"`)
	everywhere.Subjects = everywhere.Subjects[:1]
	policy.SetBinding(everywhere)
	expect(ann, "x", "NoOpinion ")

	policy.SetBinding(Binding{
		Namespace: "x", Name: "c", Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "robot"}, {Kind: "User", Name: "ann"}},
		Role: ref("Role", "q"),
	})
	expect(ann, "x", `NoOpinion RBAC: role.rbac.authorization.k8s.io "q" not found`)
	policy.SetRole("x", "q", []rbacv1.PolicyRule{rule("list", "", "pods"), rule("get", "", "pods", "a")})
	expect(ann, "x", `Allow RBAC: allowed by RoleBinding "c/x" of Role "q" to User "ann"`)
	expect(robot, "x", `Allow RBAC: allowed by RoleBinding "c/x" of Role "q" to ServiceAccount "robot/x"`)
	expect(ann, "y", "NoOpinion ")
	expect(ann, "", "NoOpinion ")
	if rules, err := policy.Rules(ann, "x"); err != nil || len(rules) != 2 {
		t.Errorf("%v, %v", rules, err)
	}
	policy.DeleteRole("x", "q")
	expect(ann, "x", `NoOpinion RBAC: role.rbac.authorization.k8s.io "q" not found`)
	policy.DeleteBinding("x", "c")
	expect(ann, "x", "NoOpinion ")
	policy.DeleteBinding("", "b")
	if len(policy.bySubject) != 0 || len(policy.bindings) != 0 {
		t.Errorf("subjects are left: %v", policy.bySubject)
	}
}
