//go:build e2e

package access

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portolan-dev/portolan/test/framework"
)

const rbac = "/apis/rbac.authorization.k8s.io/v1/"

// bodies are the specs of roles and bindings, valid and not, by the resource.
var bodies = map[string][]string{
	"roles": {
		`"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]`, `"rules":[]`, ``, `"rules":[{}]`, `"rules":[{"verbs":["get"]}]`,
		`"rules":[{"verbs":[],"apiGroups":[""],"resources":["pods"]}]`, `"rules":[{"verbs":["get"],"nonResourceURLs":["/a"]}]`,
		`"rules":[{"verbs":["get"],"nonResourceURLs":["/a"],"apiGroups":[""],"resources":["pods"],"resourceNames":["a"]}]`,
		`"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]},{"verbs":["get"],"apiGroups":[""]}]`, `"rules":[{"unknown":1}]`,
		`"aggregationRule":{}`, `"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]}`,
		`"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a b":"c d"}},{"matchExpressions":[{"key":"a","operator":"In"}]}]}`,
		`"aggregationRule":{"clusterRoleSelectors":[{"matchExpressions":[{"key":"a","operator":"Like","values":["b"]}]}]}`,
	},
	"rolebindings": {
		`"roleRef":{"kind":"ClusterRole","name":"view"}`, `"roleRef":{"kind":"Role","name":"view"}`, ``, `"roleRef":{}`,
		`"roleRef":{"apiGroup":"a","kind":"b","name":""}`, `"roleRef":{"kind":"ClusterRole","name":"a/b"},"subjects":[]`,
		`"roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{}]`,
		`"roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{"kind":"User","name":"ann"},{"kind":"Group","name":"b"}]`,
		`"roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{"kind":"ServiceAccount","name":"a"}]`,
		`"roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{"kind":"ServiceAccount","name":"B_","namespace":"x"}]`,
		`"roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{"kind":"ServiceAccount","name":"","apiGroup":"a"}]`,
		`"roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{"kind":"User","name":"","apiGroup":"a"},{"kind":"Node","name":"b"}]`,
	},
}

// TestRoles writes roles and bindings as the administrator.
func TestRoles(t *testing.T) {
	servers := start(t)
	jsonBody, mergePatch := http.Header{"Content-Type": {"application/json"}}, http.Header{"Content-Type": {"application/merge-patch+json"}}
	for i, resource := range []string{"namespaces/default/roles", "clusterroles", "namespaces/default/rolebindings", "clusterrolebindings"} {
		texts := bodies["roles"]
		if i > 1 {
			texts = bodies["rolebindings"]
		}
		for n, text := range texts {
			body := func(metadata, text string) string {
				if text != "" {
					text = "," + text
				}
				return fmt.Sprintf(`{"metadata":{%s}%s}`, metadata, text)
			}
			path, name := rbac+resource, fmt.Sprintf(`"name":"a:%d"`, n)
			named := fmt.Sprintf("%s/a:%d", path, n)
			compare(t, servers, http.MethodPost, path+"?dryRun=All&fieldValidation=Strict", body(name, text), jsonBody)
			compare(t, servers, http.MethodPost, path, body(name, text), jsonBody)
			compare(t, servers, http.MethodPost, path, body(name, text), jsonBody)
			compare(t, servers, http.MethodPost, path, body(`"name":"a/b"`, text), jsonBody)
			compare(t, servers, http.MethodGet, named, "", nil)
			for _, other := range texts {
				compare(t, servers, http.MethodPut, named+"?dryRun=All", body(name, other), jsonBody)
				compare(t, servers, http.MethodPatch, named+"?dryRun=All", "{"+other+"}", mergePatch)
			}
			compare(t, servers, http.MethodPut, path+"/new", body(`"name":"new"`, text), jsonBody)
			compare(t, servers, http.MethodDelete, path+"/new", "", nil)
			compare(t, servers, http.MethodGet, named, "", http.Header{"Accept": {"application/json;as=Table;v=v1;g=meta.k8s.io"}})
			compare(t, servers, http.MethodDelete, named, "", nil)
			compare(t, servers, http.MethodGet, named, "", nil)
		}
	}
	compare(t, servers, http.MethodGet, strings.TrimSuffix(rbac, "/"), "", nil)
}

// setup are the objects of TestRights: who has which role.
var setup = []struct{ resource, body string }{
	{"namespaces/team/roles", rules("services",
		`{"verbs":["get","list","create","update"],"apiGroups":["","events.k8s.io"],"resources":["services","services/status"]}`,
		`{"verbs":["*"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles","rolebindings"]}`)},
	{"clusterroles", rules("one",
		`{"verbs":["get","update","patch","delete"],"apiGroups":[""],"resources":["services"],"resourceNames":["web"]}`,
		`{"verbs":["get"],"nonResourceURLs":["/metrics","/healthz/*"]}`)},
	{"clusterroles", rules("binder",
		`{"verbs":["create","update","patch","get"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["*"]}`,
		`{"verbs":["bind"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["clusterroles"],"resourceNames":["one"]}`,
		`{"verbs":["get","list"],"apiGroups":[""],"resources":["pods"]}`)},
	{"clusterroles", rules("escalator",
		`{"verbs":["create","update","escalate"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles","clusterroles"]}`)},
	{"clusterroles", rules("actor", `{"verbs":["impersonate"],"apiGroups":[""],"resources":["users"],"resourceNames":["vi"]}`)},
	{"clusterrolebindings", binding("root", "cluster-admin", "ClusterRole")},
	{"clusterrolebindings", binding("one", "one", "ClusterRole")},
	{"clusterrolebindings", binding("binder", "binder", "ClusterRole")},
	{"clusterrolebindings", binding("escalator", "escalator", "ClusterRole")},
	{"clusterrolebindings", binding("actor", "actor", "ClusterRole")},
	{"clusterrolebindings", binding("lost", "missing", "ClusterRole")},
	{"namespaces/team/rolebindings", binding("services", "services", "Role")},
	{"namespaces/team/rolebindings", binding("ed", "edit", "ClusterRole")},
	{"namespaces/team/rolebindings", binding("vi", "view", "ClusterRole")},
	{"namespaces/team/rolebindings", binding("ada", "admin", "ClusterRole")},
}

// rules returns a role.
func rules(name string, rules ...string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q},"rules":[%s]}`, name, strings.Join(rules, ","))
}

// people are the users of setup, and one without rights.
var people = []string{"root", "ed", "vi", "ada", "services", "one", "binder", "escalator", "actor", "lost", "ned"}

// places are what requests of a resource are about.
var places = []string{
	`"namespace":"team"`, `"namespace":"other"`, `"namespace":"team","name":"web"`, `"namespace":""`,
	`"namespace":"team","subresource":"status"`, `"namespace":"team","subresource":"proxy"`,
}

// binding returns a binding of a user.
func binding(who, role, kind string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q},"roleRef":{"kind":%q,"name":%q},"subjects":[{"kind":"User","name":%[1]q}]}`, who, kind, role)
}

// prepare writes setup, and waits until the last binding and the aggregated roles count.
func prepare(t *testing.T, servers [2]*server) {
	t.Helper()
	header := http.Header{"Content-Type": {"application/json"}}
	for _, server := range servers {
		for _, namespace := range []string{"team", "other"} {
			server.send(t, http.MethodPost, "/api/v1/namespaces", `{"metadata":{"name":"`+namespace+`"}}`, header)
		}
		for _, object := range setup {
			if got := server.send(t, http.MethodPost, rbac+object.resource, object.body, header); got.code != http.StatusCreated {
				t.Fatalf("%s: %s %s: %d %s", server.name, object.resource, object.body, got.code, got.body)
			}
		}
		for _, who := range []string{"vi", "ada", "ed"} {
			deadline := time.Now().Add(30 * time.Second)
			caller := http.Header{"Impersonate-User": {who}}
			for server.send(t, http.MethodGet, "/api/v1/namespaces/team/services", "", caller).code != http.StatusOK {
				if time.Now().After(deadline) {
					t.Fatalf("%s: %s has no rights", server.name, who)
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
	}
}

// compareLists has kubectl list the rights of users whose roles are alike on both servers.
func compareLists(t *testing.T, servers [2]*server) {
	t.Helper()
	for _, who := range []string{"root", "services", "one", "binder", "escalator", "actor", "ned"} {
		for _, namespace := range []string{"team", "other"} {
			var lists [2]string
			for i, server := range servers {
				lists[i] = masked(framework.NewKubectl(t, server.kubeconfig).Run("auth", "can-i", "--list", "--as="+who, "-n", namespace))
			}
			if lists[0] != lists[1] {
				t.Errorf("%s in %s: got\n%swant\n%s", who, namespace, lists[1], lists[0])
			}
		}
	}
}

// TestRights asks for every user whether it may do everything, and tries what roles must
// not allow: granting rights that the user does not have.
func TestRights(t *testing.T) {
	servers := startWithAggregation(t)
	prepare(t, servers)
	resources := map[string][]string{
		"": {
			"services", "endpoints", "pods", "secrets", "configmaps", "serviceaccounts", "namespaces", "nodes", "events",
			"persistentvolumes", "persistentvolumeclaims", "replicationcontrollers",
		},
		"apps":                      {"daemonsets", "deployments", "replicasets", "statefulsets"},
		"batch":                     {"cronjobs", "jobs"},
		"networking.k8s.io":         {"ingresses", "ingressclasses", "servicecidrs", "ipaddresses"},
		"discovery.k8s.io":          {"endpointslices"},
		"coordination.k8s.io":       {"leases"},
		"events.k8s.io":             {"events"},
		"rbac.authorization.k8s.io": {"roles", "rolebindings", "clusterroles", "clusterrolebindings"},
		"admissionregistration.k8s.io": {
			"validatingadmissionpolicies", "validatingadmissionpolicybindings", "validatingwebhookconfigurations",
			"mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "mutatingwebhookconfigurations",
		},
		"authorization.k8s.io": {"selfsubjectaccessreviews", "localsubjectaccessreviews", "subjectaccessreviews"},
		"unknown.example.com":  {"things"},
	}
	for _, who := range people {
		header := http.Header{"Content-Type": {"application/json"}, "Impersonate-User": {who}, "Any-Binding": {"true"}}
		for group, names := range resources {
			for _, resource := range names {
				for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "escalate", "bind"} {
					for _, where := range places {
						compare(t, servers, http.MethodPost, authorization+"selfsubjectaccessreviews", fmt.Sprintf(
							`{"spec":{"resourceAttributes":{"verb":%q,"group":%q,"resource":%q,%s}}}`, verb, group, resource, where), header)
					}
				}
			}
		}
		for _, subresource := range []string{"log", "exec", "attach", "portforward"} {
			for _, verb := range []string{"get", "create", "update"} {
				compare(t, servers, http.MethodPost, authorization+"selfsubjectaccessreviews", fmt.Sprintf(
					`{"spec":{"resourceAttributes":{"verb":%q,"resource":"pods","subresource":%q,"namespace":"team"}}}`, verb, subresource), header)
			}
		}
		for _, path := range []string{"/metrics", "/healthz/etcd", "/openapi/v2", "/logs"} {
			compare(t, servers, http.MethodPost, authorization+"selfsubjectaccessreviews",
				fmt.Sprintf(`{"spec":{"nonResourceAttributes":{"verb":"get","path":%q}}}`, path), header)
		}
		compareGrants(t, servers, header)
	}
	compareLists(t, servers)
}

// compareGrants has a user grant rights, act as others and use services.
func compareGrants(t *testing.T, servers [2]*server, header http.Header) {
	t.Helper()
	try := func(method, path, body string) {
		t.Helper()
		compare(t, servers, method, path+"?dryRun=All", body, header)
	}
	for _, rules := range []string{
		``, `{"verbs":["get","list"],"apiGroups":[""],"resources":["pods"]}`,
		`{"verbs":["get","create"],"apiGroups":[""],"resources":["services","secrets"]}`, `{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}`,
		`{"verbs":["get","update"],"apiGroups":[""],"resources":["services"],"resourceNames":["web","a"]}`,
	} {
		role := `{"metadata":{"name":"new"},"rules":[` + rules + `]}`
		try(http.MethodPost, rbac+"namespaces/team/roles", role)
		try(http.MethodPost, rbac+"clusterroles", role)
		try(http.MethodPut, rbac+"namespaces/team/roles/services", strings.Replace(role, "new", "services", 1))
	}
	try(http.MethodPost, rbac+"clusterroles", `{"metadata":{"name":"new"},"rules":[{"verbs":["get"],"nonResourceURLs":["/metrics","/a"]}]}`)
	try(http.MethodPost, rbac+"clusterroles",
		`{"metadata":{"name":"new"},"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]}}`)
	for _, role := range []string{"one", "cluster-admin", "missing", "binder", "services"} {
		for _, kind := range []string{"ClusterRole", "Role"} {
			if role == "cluster-admin" && kind == "Role" {
				continue
			}
			try(http.MethodPost, rbac+"namespaces/team/rolebindings", binding("new", role, kind))
			try(http.MethodPost, rbac+"clusterrolebindings", binding("new", role, kind))
		}
	}
	try(http.MethodPut, rbac+"namespaces/team/rolebindings/services",
		`{"metadata":{"name":"services"},"roleRef":{"kind":"Role","name":"services"},"subjects":[{"kind":"User","name":"x"}]}`)
	for _, path := range []string{
		"/api/v1/namespaces/team/services/web", "/api/v1/namespaces/other/services", "/api/v1/namespaces/team/secrets", "/metrics/x",
	} {
		try(http.MethodGet, path, "")
		try(http.MethodDelete, path, "")
	}
}
