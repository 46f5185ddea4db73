package artifacts

import (
	"maps"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/portolan-dev/portolan/pkg/registry"
)

var (
	read  = []string{"get", "list", "watch"}
	write = []string{"create", "delete", "deletecollection", "patch", "update"}
)

// rights are a role's, flat: "verb group/resource" or "verb group/resource name".
func rights(t *testing.T, m Manifest) sets.Set[string] {
	t.Helper()
	flat := sets.New[string]()
	for _, rule := range rules(t, m) {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					for _, name := range names {
						flat.Insert(strings.TrimSpace(verb + " " + group + "/" + resource + " " + name))
					}
				}
			}
		}
	}
	return flat
}

func flat(verbs []string, resources ...string) []string {
	var all []string
	for _, resource := range resources {
		for _, verb := range verbs {
			all = append(all, verb+" "+resource)
		}
	}
	return all
}

// TestServerRights is the list of what the server may do: a right that isn't
// here is one too many.
func TestServerRights(t *testing.T) {
	t.Parallel()
	manifests := Kustomize(t, "cluster")
	const admission = "admissionregistration.k8s.io/"
	for id, want := range map[string][]string{
		"ClusterRole /portolan": slices.Concat(
			flat(read, "/namespaces", "/pods"),
			flat([]string{"list", "watch"}, "/nodes", "/resourcequotas",
				admission+"mutatingadmissionpolicies", admission+"mutatingadmissionpolicybindings", admission+"mutatingwebhookconfigurations",
				admission+"validatingadmissionpolicies", admission+"validatingadmissionpolicybindings", admission+"validatingwebhookconfigurations",
				"flowcontrol.apiserver.k8s.io/flowschemas", "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations"),
			flat([]string{"update"}, "/resourcequotas/status"),
			flat([]string{"patch"}, "flowcontrol.apiserver.k8s.io/flowschemas/status"),
			flat([]string{"create", "patch"}, "/events"),
			flat([]string{"get", "list", "watch", "patch"}, "apiregistration.k8s.io/apiservices v1.portolan.dev")),
		"Role portolan/portolan": slices.Concat(
			flat([]string{"create"}, "/secrets", "coordination.k8s.io/leases"),
			flat([]string{"get", "list", "watch", "update"}, "/secrets portolan-serving"),
			flat([]string{"get", "update"}, "coordination.k8s.io/leases portolan-controllers")),
		"Role portolan/portolan-certificates": slices.Concat(
			flat([]string{"create"}, "/secrets"),
			flat([]string{"get", "update"}, "/secrets portolan-etcd-ca", "/secrets portolan-etcd-client", "/secrets portolan-etcd-peer",
				"/secrets portolan-etcd-server")),
	} {
		got := rights(t, manifests.Get(t, id))
		for _, right := range sets.List(got.Difference(sets.New(want...))) {
			t.Errorf("%s may %s", id, right)
		}
		for _, right := range sets.List(sets.New(want...).Difference(got)) {
			t.Errorf("%s may not %s", id, right)
		}
	}
}

// TestBindings wants the rights to be those of the accounts they are for.
func TestBindings(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"ClusterRoleBinding /portolan":                "ClusterRole portolan: portolan/portolan",
		"ClusterRoleBinding /portolan:auth-delegator": "ClusterRole system:auth-delegator: portolan/portolan",
		"RoleBinding kube-system/portolan:extension-apiserver-authentication-reader": "" +
			"Role extension-apiserver-authentication-reader: portolan/portolan",
		"RoleBinding portolan/portolan":              "Role portolan: portolan/portolan",
		"RoleBinding portolan/portolan-certificates": "Role portolan-certificates: portolan/portolan-certificates",
	}
	got := map[string]string{}
	for _, m := range Kustomize(t, "cluster") {
		var role rbacv1.RoleRef
		var subjects []rbacv1.Subject
		switch m.GetKind() {
		case "ClusterRoleBinding":
			binding := Decode(t, m).(*rbacv1.ClusterRoleBinding)
			role, subjects = binding.RoleRef, binding.Subjects
		case "RoleBinding":
			binding := Decode(t, m).(*rbacv1.RoleBinding)
			role, subjects = binding.RoleRef, binding.Subjects
		default:
			continue
		}
		var names []string
		for _, subject := range subjects {
			names = append(names, subject.Namespace+"/"+subject.Name)
		}
		got[m.ID()] = role.Kind + " " + role.Name + ": " + strings.Join(names, ", ")
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// TestUserRights wants view, edit and admin to get what they have of core
// Services (plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go), and the
// reading of what Services claim. Nothing but portolan-ranges, which is part of
// no other role, may write ranges and claims, and no role Endpoints and slices.
func TestUserRights(t *testing.T) {
	t.Parallel()
	const group = "portolan.dev/"
	view := flat(read, group+"claimquotas", group+"endpoints", group+"endpointslices", group+"ipaddresses", group+"loadbalancerips",
		group+"loadbalancerpools", group+"loadbalancerpools/status", group+"nodeportranges", group+"nodeportranges/status",
		group+"nodeports", group+"servicecidrs", group+"servicecidrs/status", group+"services", group+"services/status")
	edit := slices.Concat(flat(write, group+"services"), flat(slices.Concat(read, write), group+"services/proxy"))
	ranges := append(flat(slices.Concat(read, write), group+"claimquotas", group+"ipaddresses", group+"loadbalancerips",
		group+"loadbalancerpools", group+"nodeportranges", group+"nodeports", group+"servicecidrs"), "create "+group+"services/renumber")
	manifests := Kustomize(t, "cluster")
	for role, want := range map[string]struct {
		rights    []string
		aggregate string
	}{
		"portolan-view": {view, "view"}, "portolan-edit": {edit, "edit"}, "portolan-admin": {edit, "admin"}, "portolan-ranges": {ranges, ""},
	} {
		m := manifests.Get(t, "ClusterRole /"+role)
		if got := rights(t, m); !got.Equal(sets.New(want.rights...)) {
			t.Errorf("%s: too many are %v, missing are %v", role,
				sets.List(got.Difference(sets.New(want.rights...))), sets.List(sets.New(want.rights...).Difference(got)))
		}
		for _, aggregate := range []string{"view", "edit", "admin"} {
			if got := m.GetLabels()["rbac.authorization.k8s.io/aggregate-to-"+aggregate] == "true"; got != (aggregate == want.aggregate) {
				t.Errorf("%s: that it is part of %s is %v", role, aggregate, got)
			}
		}
	}
	// A resource that is new must not be forgotten here.
	for _, kind := range registry.PortolanKinds() {
		resource := kind.Resource
		if !slices.Contains(view, "get "+group+resource.Resource) {
			t.Errorf("a viewer can't see %s", resource.Resource)
		}
	}
}
