//go:build e2e

package delegation

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestRights has users do what they may and what they may not, and looks into
// the audit log for both.
func TestRights(t *testing.T) {
	g := newGround(t)
	g.bind("portolan-view", user("vera"))
	g.bind("system:monitoring", account("default", "prometheus"))
	_, err := g.client.RbacV1().RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "local"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "portolan-edit"},
		Subjects:   []rbacv1.Subject{user("eddie")},
	}, metav1.CreateOptions{})
	g.must(err)
	server := g.serve(nil)
	certain := func(name string, groups ...string) *caller {
		return newCaller(t, server, certificateOf(t, g.users, name, groups...), "")
	}
	callers := map[string]*caller{
		"nobody": newCaller(t, server, nil, ""), "vera": certain("vera"), "eddie": certain("eddie"), "ned": certain("ned"),
		"root": certain("root", "system:masters"),
	}
	for _, step := range []struct {
		who, method, path string
		code              int
	}{
		{"vera", "GET", services, 200},
		{"vera", "POST", services, 403},
		{"vera", "DELETE", services + "/eddie", 403},
		{"vera", "GET", "/apis/portolan.dev/v1/servicecidrs", 200},
		{"eddie", "POST", services, 201},
		{"eddie", "DELETE", services + "/eddie", 200},
		{"eddie", "POST", servicesIn("kube-system"), 403},
		{"ned", "GET", services, 403},
		{"nobody", "GET", services, 401},
		// Every user of a cluster may find out what there is to ask for.
		{"ned", "GET", "/apis", 200},
		{"ned", "GET", "/apis/portolan.dev/v1", 200},
		{"ned", "GET", "/openapi/v3", 200},
		{"ned", "GET", "/openapi/v2", 200},
		{"ned", "GET", "/version", 200},
		{"nobody", "GET", "/apis", 401},
		{"nobody", "GET", "/readyz", 200},
		{"nobody", "GET", "/livez", 200},
		{"nobody", "GET", "/healthz", 200},
		{"nobody", "GET", "/readyz/etcd", 401},
		{"ned", "GET", "/metrics", 403},
		{"vera", "GET", "/metrics", 403},
		{"ned", "GET", "/debug/pprof/", 403},
		{"root", "GET", "/metrics", 200},
		{"root", "POST", services, 201},
	} {
		body := ""
		if step.method == http.MethodPost {
			body = fmt.Sprintf(aService, step.who)
		}
		got := callers[step.who].do(step.method, step.path, body)
		if got.code != step.code {
			t.Errorf("%s: %s %s: %d %s, want %d", step.who, step.method, step.path, got.code, got.body, step.code)
		}
		event := g.event(got)
		if event.RequestURI != step.path || int(event.ResponseStatus.Code) != step.code ||
			step.code == 403 && event.Annotations["authorization.k8s.io/decision"] != "forbid" {
			t.Errorf("%s: %s %s: the audit log has %s, %d, %v", step.who, step.method, step.path, event.RequestURI, event.ResponseStatus.Code,
				event.Annotations)
		}
	}

	scraper := newCaller(t, server, nil, g.token("default", "prometheus"))
	if got := scraper.get("/metrics"); got.code != 200 || !strings.Contains(got.body, "portolan_transactions_total") {
		t.Errorf("Prometheus: %d", got.code)
	}
	testImpersonation(t, g, callers["root"])
}

// testImpersonation impersonates at the server. Who does so at the cluster's
// address is the cluster's business: here the aggregation layer names the user
// whose rights count.
func testImpersonation(t *testing.T, g *ground, root *caller) {
	t.Helper()
	posing := *root
	posing.header = http.Header{"Impersonate-User": {"vera"}}
	for method, code := range map[string]int{http.MethodGet: 200, http.MethodPost: 403} {
		got := posing.do(method, services, fmt.Sprintf(aService, "posed"))
		event := g.event(got)
		if got.code != code || event.User.Username != "root" || event.ImpersonatedUser == nil || event.ImpersonatedUser.Username != "vera" {
			t.Errorf("%s: %d %s; the audit log has %+v for %+v", method, got.code, got.body, event.User, event.ImpersonatedUser)
		}
	}
}

// veras is a FlowSchema for one user.
func veras() *flowcontrolv1.FlowSchema {
	return &flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: "veras"},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: "workload-low"},
			MatchingPrecedence:         100,
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects: []flowcontrolv1.Subject{{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: "vera"}}},
				ResourceRules: []flowcontrolv1.ResourcePolicyRule{{
					Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}, ClusterScope: true, Namespaces: []string{"*"},
				}},
			}},
		},
	}
}

// TestFlowSchemas has the cluster's priority and fairness here: requests are put
// where its FlowSchemas say, one that is made while the server runs included.
func TestFlowSchemas(t *testing.T) {
	g := newGround(t)
	g.bind("portolan-view", user("vera"))
	server := g.serve(nil)
	vera := newCaller(t, server, certificateOf(t, g.users, "vera"), "")
	uid := func(got answer) string { return got.header.Get("X-Kubernetes-PF-FlowSchema-UID") }
	var first string
	framework.Eventually(t, "the cluster's FlowSchemas have arrived", func(context.Context) (bool, error) {
		first = uid(vera.get(services))
		return first != "", nil
	})
	created, err := g.client.FlowcontrolV1().FlowSchemas().Create(t.Context(), veras(), metav1.CreateOptions{})
	g.must(err)
	framework.Eventually(t, "vera's requests are in her own flow", func(context.Context) (bool, error) {
		return uid(vera.get(services)) == string(created.UID), nil
	})
	if first == string(created.UID) {
		t.Error("they were before")
	}
	root := newCaller(t, server, certificateOf(t, g.users, "root", "system:masters"), "")
	if got := root.get("/debug/api_priority_and_fairness/dump_priority_levels"); got.code != 200 ||
		!strings.Contains(got.body, "workload-low") {
		t.Errorf("priority levels: %d %s", got.code, got.body)
	}
}
