//go:build e2e

package aggregated

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/test/framework"
)

const (
	// audited is a user whose requests are written down by the cluster and by
	// Portolan, and auditor one that impersonates that user.
	audited, auditor = "audited", "auditor"
)

// auditPolicy has what some users do written down.
func auditPolicy(users ...string) string {
	return `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["` + strings.Join(users, `", "`) + `"]
- level: None
`
}

// auditLog is where kube-apiserver writes it down.
func (g *fixture) auditLog() string { return filepath.Join(g.dir, "audit.log") }

// events are those in a log, which may have other lines too.
func events(file string) ([]auditv1.Event, error) {
	log, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	var found []auditv1.Event
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !bytes.HasPrefix(lines.Bytes(), []byte(`{"kind":"Event"`)) {
			continue
		}
		var event auditv1.Event
		// The last line may not be whole yet.
		if err := json.Unmarshal(lines.Bytes(), &event); err == nil {
			found = append(found, event)
		}
	}
	return found, lines.Err()
}

// request asks the cluster something and returns the id under which it is
// audited.
func (g *fixture) request(t *testing.T, config *rest.Config, method, path string) types.UID {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	response, _ := framework.Send(t, client, method, clusterURL+path, nil, nil)
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s %s: %s", method, path, response.Status)
	}
	ids := response.Header.Values("Audit-Id")
	if len(ids) == 0 {
		t.Fatalf("%s %s: no Audit-Id in %v", method, path, response.Header)
	}
	return types.UID(ids[0])
}

// awaitEvent waits until one of the logs has a request, as it was when it was
// answered.
func awaitEvent(t *testing.T, id types.UID, logs ...string) auditv1.Event {
	t.Helper()
	var found auditv1.Event
	framework.Eventually(t, fmt.Sprintf("%v have %s", logs, id), func(context.Context) (bool, error) {
		for _, log := range logs {
			all, err := events(log)
			if err != nil {
				return false, err
			}
			at := slices.IndexFunc(all, func(e auditv1.Event) bool { return e.AuditID == id && e.Stage == auditv1.StageResponseComplete })
			if at >= 0 {
				found = all[at]
				return true, nil
			}
		}
		return false, nil
	})
	return found
}

// testAudit follows requests from the cluster's audit log to Portolan's: both
// have them under one id, and who has asked. Of somebody who is impersonated at
// the cluster's address only the cluster knows by whom.
func testAudit(t *testing.T, g *fixture) {
	ns := g.newNamespace(t, "audit")
	g.bind(t, ns, "view", rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: audited})
	g.createService(t, ns, newService("web"))
	var logs []string
	for name := range g.kubelet.running() {
		logs = append(logs, filepath.Join(g.dir, name+".log"))
	}
	path := "/apis/portolan.dev/v1/namespaces/" + ns + "/services/web"
	impersonated := g.configOf(t, g.users.kubeconfig(t, auditor, "system:masters"))
	impersonated.Impersonate.UserName = audited
	for by, config := range map[string]*rest.Config{
		audited: g.configOf(t, g.users.kubeconfig(t, audited)),
		auditor: impersonated,
	} {
		id := g.request(t, config, http.MethodGet, path)
		atCluster, here := awaitEvent(t, id, g.auditLog()), awaitEvent(t, id, logs...)
		as := ""
		if user := atCluster.ImpersonatedUser; user != nil {
			as = user.Username
		}
		if want := map[string]string{auditor: audited}[by]; atCluster.User.Username != by || as != want {
			t.Errorf("the cluster has %s as %q, want %s as %q", atCluster.User.Username, as, by, want)
		}
		if here.User.Username != audited || !slices.Equal(here.User.Groups, []string{"system:authenticated"}) || here.ImpersonatedUser != nil {
			t.Errorf("%s asks: Portolan has %+v, %+v", by, here.User, here.ImpersonatedUser)
		}
		if here.Verb != "get" || here.RequestURI != path || here.ObjectRef.Name != "web" || here.ObjectRef.Namespace != ns ||
			here.ResponseStatus.Code != http.StatusOK {
			t.Errorf("%s asks: Portolan has %+v", by, here)
		}
		if reason := here.Annotations["authorization.k8s.io/reason"]; !strings.Contains(reason, ns) {
			t.Errorf("%s may ask because %q", by, reason)
		}
	}
}
