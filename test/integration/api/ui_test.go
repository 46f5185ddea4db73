package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// page is what portolan ui serves.
type page struct {
	t   *testing.T
	url string
}

// open starts portolan ui with a kubeconfig.
func open(t *testing.T, kubeconfig string) (page, *running) {
	t.Helper()
	command := runWith(t, "ui", "--kubeconfig="+kubeconfig)
	command.until("http://127.0.0.1:")
	return page{t, strings.TrimSpace(command.seen[len(command.seen)-1])}, command
}

// has waits until an answer has a text.
func (p page) has(path, text string) {
	p.t.Helper()
	framework.Eventually(p.t, path+" has "+text, func(context.Context) (bool, error) {
		_, body := framework.Send(p.t, http.DefaultClient, http.MethodGet, p.url+path, nil, nil)
		return strings.Contains(body, text), fmt.Errorf("got %s", body)
	})
}

// TestUICommand follows a Service from its creation to its deletion, and ends with an open
// stream.
func TestUICommand(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	s.createCIDR("team-a", "10.200.0.128/27", nil)
	p, command := open(t, s.Kubeconfig)
	p.has("", `<script type="module" src="app.js">`)
	p.has("api/range?kind=ServiceCIDR&name=team-a", `"allocated":0,"reserved":0,"free":30`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	events := bufio.NewScanner(stream.Body)

	s.expectIn("10.200.0.128/27", "team-a", "web", "", on("10.200.0.130"))
	p.has("api/range?kind=ServiceCIDR&name=team-a", `{"text":"10.200.0.130","allocated":1,"static":1,"claim":{"value":"10.200.0.130"`)
	p.has("api/holder?resource=services.portolan.dev&namespace=team-a&name=web", `"ranges":[{"kind":"ServiceCIDR","name":"kubernetes"},`)
	if err := s.Client.PortolanV1().Services("team-a").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	p.has("api/search?q=10.200.0.130", `{"value":"10.200.0.130","class":"IPv4","ranges":[{"kind":"ServiceCIDR","name":"kubernetes"},{"kind":"ServiceCIDR","name":"team-a"}]}`)
	versions := 0
	for versions < 3 && events.Scan() {
		if strings.HasPrefix(events.Text(), "data: ") {
			versions++
		}
	}
	if versions < 3 {
		t.Errorf("after two changes, the stream has %d events: %v", versions, events.Err())
	}
	command.cancel()
	if text, err := command.end(); err != nil {
		t.Errorf("an interrupt ends it with %v\n%s", err, text)
	}
}

// TestUIHasTheRightsOfItsUser lets a user read no kind of ranges, then one.
func TestUIHasTheRightsOfItsUser(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	config, err := clientcmd.LoadFromFile(s.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = "ann"
	}
	kubeconfig := filepath.Join(t.TempDir(), "ann")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	_, err = runWith(t, "ui", "--kubeconfig="+kubeconfig).end()
	if err == nil || !strings.Contains(err.Error(), "servicecidrs.portolan.dev") {
		t.Errorf("a user without rights gets %v", err)
	}

	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "addresses"}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{v1.GroupName}, Resources: []string{"servicecidrs", "ipaddresses"}, Verbs: []string{"list", "watch"},
	}}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "addresses"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "addresses"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "ann"}},
	}
	if _, err := s.core.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.core.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.expectIn("10.200.0.0/24", "default", "web", "", on("10.200.0.99"), onNodePort(30007))
	p, command := open(t, kubeconfig)
	defer func() {
		command.cancel()
		_, _ = command.end()
	}()
	p.has("api/search?q=10.200.0.99", `"name":"web"`)
	p.has("api/search?q=30007", `"values":[]`)
	p.has("api/holder?resource=services.portolan.dev&namespace=default&name=web", `"claims":[{"value":"10.200.0.99"`)
	problem := firstEvent(t, p)
	for i, kind := range []string{"NodePortRange", "LoadBalancerPool"} {
		if len(problem.Problems) != 2 || problem.Problems[i].Kind != kind || !strings.Contains(problem.Problems[i].Message, "forbidden") {
			t.Fatalf("the problems are %v", problem.Problems)
		}
	}
}

// news is the part of an event that the tests look at.
type news struct {
	Problems []struct{ Kind, Message string }
}

func firstEvent(t *testing.T, p page) (first news) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	line, err := bufio.NewReader(io.LimitReader(stream.Body, 1<<20)).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &first); err != nil {
		t.Fatal(err)
	}
	return first
}
