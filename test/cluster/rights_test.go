//go:build e2e

package cluster

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// auditPolicy has kube-apiserver write down what Portolan asks it.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["` + portolanUser + `"]
- level: None
`

func (g *ground) auditLog() string { return filepath.Join(g.dir, "audit.log") }

// asked is a line of kube-apiserver's audit log.
type asked struct {
	Verb       string `json:"verb"`
	RequestURI string `json:"requestURI"`
	ObjectRef  struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		APIGroup    string `json:"apiGroup"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"responseStatus"`
}

// right is one verb on one resource.
type right struct{ group, resource, verb string }

// idle are the rights that a run need not use, and what they are for.
var idle = map[right]string{
	{"", "secrets", "update"}: "to renew the serving certificate, months from now",
	{"", "events", "patch"}:   "to count an event that happens again",
	{"flowcontrol.apiserver.k8s.io", "flowschemas/status", "patch"}: "to say that a FlowSchema names a level which isn't there",
}

// testRights wants Portolan to have asked for nothing that it may not have, and
// to have nothing that it doesn't ask for.
func testRights(t *testing.T, g *ground) {
	used := map[right]bool{}
	log, err := os.Open(g.auditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event asked
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatal(err)
		}
		if event.ResponseStatus.Code == http.StatusForbidden {
			t.Errorf("forbidden: %s %s: %s", event.Verb, event.RequestURI, event.ResponseStatus.Message)
			continue
		}
		resource := event.ObjectRef.Resource
		if event.ObjectRef.Subresource != "" {
			resource += "/" + event.ObjectRef.Subresource
		}
		used[right{event.ObjectRef.APIGroup, resource, event.Verb}] = true
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}

	cluster, err := g.client.RbacV1().ClusterRoles().Get(t.Context(), namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	own, err := g.client.RbacV1().Roles(namespace).Get(t.Context(), namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	granted := map[right]bool{}
	for _, rule := range slices.Concat(cluster.Rules, own.Rules) {
		for _, r := range rightsOf(rule) {
			granted[r] = true
			// Informers have the cluster send what there is as part of a watch, and
			// list where it can't: before 1.32, or without the feature WatchList.
			if r.verb == "list" && used[right{r.group, r.resource, "watch"}] {
				continue
			}
			if !used[r] && idle[r] == "" {
				t.Errorf("may %s %s of group %q, and never did", r.verb, r.resource, r.group)
			}
		}
	}
	for r := range idle {
		if !granted[r] {
			t.Errorf("%v is excused, and not granted", r)
		}
	}
}

func rightsOf(rule rbacv1.PolicyRule) []right {
	var all []right
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				all = append(all, right{group, resource, verb})
			}
		}
	}
	return all
}
