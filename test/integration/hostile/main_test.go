// Package hostile sends a server what no well-meaning client would: bodies that
// are too large, too deep, cut off or no object at all. Whatever comes in, the
// answer is a 4xx with a Status that says what is wrong, nothing panics, and the
// server goes on.
package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// panics are all of this process, in which the servers of all tests run.
var panics struct {
	sync.Mutex
	seen []string
}

func TestMain(m *testing.M) {
	framework.Child()
	utilruntime.PanicHandlers = append(utilruntime.PanicHandlers, func(_ context.Context, recovered any) {
		// This one ends a request whose client is gone.
		if recovered == http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this.
			return
		}
		panics.Lock()
		defer panics.Unlock()
		panics.seen = append(panics.seen, fmt.Sprintf("%v\n%s", recovered, debug.Stack()))
	})
	code := m.Run()
	for _, text := range panics.seen {
		fmt.Fprintln(os.Stderr, "panic:", text)
		code = 1
	}
	os.Exit(code)
}

// target is a server, and the way to send it anything.
type target struct {
	*framework.Server
	store  *framework.Etcd
	client *http.Client
}

// start runs a server on an etcd with the limits that etcd has by default.
// Change may set options; it may be nil.
func start(t *testing.T, change func(*options.Options)) *target {
	t.Helper()
	store, servers := framework.Replicas(t, 1, change)
	server := servers[0]
	transport, err := rest.TransportFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	return &target{server, store, &http.Client{Transport: transport}}
}

const (
	jsonType     = "application/json"
	yamlType     = "application/yaml"
	protobufType = "application/vnd.kubernetes.protobuf"
	jsonPatch    = "application/json-patch+json"
	mergePatch   = "application/merge-patch+json"
	strategic    = "application/strategic-merge-patch+json"
	applyPatch   = "application/apply-patch+yaml"

	api      = "/apis/portolan.dev/v1"
	services = api + "/namespaces/default/services"
)

// answer is what came back.
type answer struct {
	code int
	body []byte
}

// status is the body as a Status, zero where it is none.
func (a answer) status() metav1.Status {
	var status metav1.Status
	if err := json.Unmarshal(a.body, &status); err != nil || status.Kind != "Status" {
		return metav1.Status{}
	}
	return status
}

func (a answer) String() string {
	const limit = 600
	return fmt.Sprintf("%d %.*q", a.code, limit, a.body)
}

// send makes a request. A path that begins with / is absolute.
func (s *target) send(t testing.TB, method, path, contentType string, body []byte, headers ...string) answer {
	t.Helper()
	header := http.Header{"Accept": {jsonType}}
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	response, text := framework.Send(t, s.client, method, s.Config.Host+path, bytes.NewReader(body), header)
	return answer{response.StatusCode, []byte(text)}
}

// refused wants a code and, in the message of the Status, all of the parts.
func (a answer) refused(t testing.TB, what string, code int, parts ...string) {
	t.Helper()
	status := a.status()
	if a.code != code || int(status.Code) != code || status.Message == "" {
		t.Errorf("%s: got %v\nwant a Status of %d", what, a, code)
		return
	}
	for _, part := range parts {
		if !strings.Contains(status.Message, part) {
			t.Errorf("%s: the message is %.600q\nwant %q in it", what, status.Message, part)
		}
	}
}

// healthy wants a server that works and a store that is consistent.
func (s *target) healthy(t testing.TB) {
	t.Helper()
	if a := s.send(t, http.MethodGet, "/readyz", "", nil); a.code != http.StatusOK {
		t.Errorf("the server is not ready: %v", a)
	}
	a := s.send(t, http.MethodPost, services+"?dryRun=All", jsonType,
		[]byte(`{"metadata":{"name":"well"},"spec":{"type":"NodePort","ports":[{"port":80}]}}`))
	if a.code != http.StatusCreated {
		t.Errorf("the server creates no Service: %v", a)
	}
	framework.Verify(t, s.store.Client)
}

// revision is that of the store, which nothing that is refused may move.
func (s *target) revision(t testing.TB) int64 {
	t.Helper()
	response, err := s.store.Client.Get(t.Context(), "health")
	if err != nil {
		t.Fatal(err)
	}
	return response.Header.Revision
}
