package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

// TestFront has kube-apiserver answer in all ways to who is asking. Where it does not go
// by the names, no request of a user reaches it.
func TestFront(t *testing.T) {
	t.Parallel()
	forbidden := func(name string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(metav1.Status{Message: fmt.Sprintf("it is forbidden: User %q cannot create resource", name)})
		}
	}
	for name, test := range map[string]struct {
		judge func(http.ResponseWriter)
		code  int
		as    string
	}{
		"accepted":                   {func(w http.ResponseWriter) { review(w, checkUser) }, http.StatusOK, ""},
		"accepted, without rights":   {forbidden(checkUser), http.StatusOK, ""},
		"a user's":                   {func(w http.ResponseWriter) { review(w, "admin") }, http.StatusUnauthorized, "admin"},
		"a user's, without rights":   {forbidden("robot"), http.StatusUnauthorized, "robot"},
		"unknown":                    {func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) }, http.StatusUnauthorized, ""},
		"kube-apiserver is starting": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }, 503, ""},
		"something else":             {func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }, 503, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked, forwarded atomic.Int32
			g := start(t, true, func(http.ResponseWriter, *http.Request) {})
			back := serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path == selfReviews {
					asked.Add(1)
					test.judge(w)
				} else {
					forwarded.Add(1)
				}
			}))
			g.restartAt(back.URL, certificates.EncodeCerts(back.Certificate()))
			client := g.client(issue(t, g.users, "vera"))
			for range 2 {
				if got := g.do(client, g.request(http.MethodGet, pods, nil)); got.StatusCode != test.code {
					t.Errorf("got %s", got.Status)
				}
			}
			wantAsked, wantForwarded := 1, 0
			switch test.code {
			case http.StatusOK:
				wantForwarded = 2
			case http.StatusServiceUnavailable:
				// There is no verdict, so each request asks.
				wantAsked = 2
			}
			if asked.Load() != int32(wantAsked) || forwarded.Load() != int32(wantForwarded) {
				t.Errorf("asked %d times, forwarded %d requests", asked.Load(), forwarded.Load())
			}
			err := g.forwarder.VerifyFront(t.Context())
			rejected, is := errors.AsType[*RejectedError](err)
			if is != (test.code == http.StatusUnauthorized) || is && rejected.As != test.as {
				t.Errorf("the verdict is %v", err)
			}
		})
	}
}

// TestLoop has a gateway whose cluster is the gateway itself.
func TestLoop(t *testing.T) {
	t.Parallel()
	var forwarded atomic.Int32
	g := start(t, true, func(http.ResponseWriter, *http.Request) { forwarded.Add(1) })
	if err := CheckLoop(t.Context(), g.forwarder.config.Cluster); err != nil {
		t.Errorf("a cluster is taken for the gateway: %v", err)
	}
	forwarded.Store(0)
	var self http.Handler
	server := serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { self.ServeHTTP(w, req) }))
	config := g.forwarder.config
	authority := rest.TLSClientConfig{CAData: certificates.EncodeCerts(server.Certificate())}
	config.Cluster = &rest.Config{Host: server.URL, TLSClientConfig: authority}
	forwarder, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	self = Split(http.NotFoundHandler(), forwarder, resolver())
	g.front, g.forwarder = server, forwarder
	if err := CheckLoop(t.Context(), config.Cluster); !errors.Is(err, ErrLoop) {
		t.Errorf("the loop is not found: %v", err)
	}
	response := g.do(g.client(certificates.Pair{}), g.request(http.MethodGet, pods, nil))
	status := statusOf(t, response.Response)
	if status.Code != http.StatusLoopDetected || !strings.Contains(status.Message, "--kubeconfig") || forwarded.Load() != 0 {
		t.Errorf("got %v, %d were forwarded", status, forwarded.Load())
	}
	// A proxy on the way may name itself too.
	response = g.do(g.client(certificates.Pair{}), g.request(http.MethodGet, pods, http.Header{"Via": {"1.1 a, " + hop + ", 2 b"}}))
	if response.StatusCode != http.StatusLoopDetected {
		t.Errorf("with other proxies: %s", response.Status)
	}
}
