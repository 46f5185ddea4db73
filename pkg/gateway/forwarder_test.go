package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

// TestForwardsAsIs compares what a client sends and gets with what kube-apiserver gets and
// sends.
func TestForwardsAsIs(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "/k8s/clusters/c"} {
		uris := make(chan string, 1)
		g := startAt(t, false, func(w http.ResponseWriter, req *http.Request) {
			uris <- req.Method + " " + req.RequestURI + " " + req.Header.Get("Accept-Encoding") + req.Header.Get("Forwarded") +
				strings.Join(req.Header.Values("X-Forwarded-For"), ";") + req.Header.Get("X-Forwarded-Host") + req.Header.Get("X-Forwarded-Proto")
			w.Header().Set("Audit-Id", "a")
			w.Header().Add("Warning", `299 - "one"`)
			w.Header().Add("Warning", `299 - "two"`)
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "answer")
		}, base)
		client := g.client(certificates.Pair{})
		client.Transport.(*http.Transport).DisableCompression = true
		for _, request := range []string{
			"GET /", "GET /api", "GET /api/", "GET /openapi/v3?hash=A%2FB", "GET /apis/example.com/v1/things/a%2Fb?x=%20&y", "DELETE " + pods,
			"POST " + pods + "/web/eviction", "OPTIONS /apis", "PATCH " + pods + "/web?fieldManager=m", "GET " + pods + "/web/proxy/a//b/",
			"GET " + pods + "?watch=1&a;b=%zz",
		} {
			var method, path string
			if _, err := fmt.Sscanf(request, "%s %s", &method, &path); err != nil {
				t.Fatal(err)
			}
			response := g.do(client, g.request(method, path, http.Header{
				"Forwarded": {"for=192.0.2.1"}, "X-Forwarded-For": {"192.0.2.1", "192.0.2.2"}, "X-Forwarded-Host": {"a"}, "X-Forwarded-Proto": {"b"},
			}))
			data, err := io.ReadAll(response.Body)
			whole := err == nil && response.StatusCode == http.StatusTeapot && string(data) == "answer"
			if !whole || response.Header.Get("Audit-Id") != "a" || len(response.Header["Warning"]) != 2 {
				t.Errorf("%s: got %s %v %s: %v", request, response.Status, response.Header, data, err)
			}
			if got, want := <-uris, method+" "+base+path+" for=192.0.2.1192.0.2.1, 192.0.2.2, 127.0.0.1ab"; got != want {
				t.Errorf("kube-apiserver gets %q, not %q", got, want)
			}
		}
	}
}

// TestDown has nobody listen where kube-apiserver should.
func TestDown(t *testing.T) {
	t.Parallel()
	g := start(t, true, func(http.ResponseWriter, *http.Request) {})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	config := g.forwarder.config
	config.Cluster.Host = "https://" + listener.Addr().String()
	if g.forwarder, err = New(config); err != nil {
		t.Fatal(err)
	}
	g.front = serveTLS(t, Split(http.NotFoundHandler(), g.forwarder, resolver()))
	begin := time.Now()
	for name, pair := range map[string]certificates.Pair{"anonymous": {}, "named": issue(t, g.users, "vera")} {
		client := g.client(pair)
		for _, req := range []*http.Request{
			g.request(http.MethodGet, pods, nil), g.request(http.MethodGet, pods+"?watch=1", nil), g.request(http.MethodPost, pods, nil),
			g.request(http.MethodGet, "/version", http.Header{"Authorization": {"Bearer abc"}}),
		} {
			response := g.do(client, req)
			status := statusOf(t, response.Response)
			if status.Code != http.StatusServiceUnavailable || status.Reason != metav1.StatusReasonServiceUnavailable ||
				response.Header.Get("Retry-After") != "" {
				t.Errorf("%s %s: %v", name, req.URL.Path, status)
			}
		}
	}
	conn := g.dial(certificates.Pair{})
	_, _ = fmt.Fprintf(conn, "GET %s/web/exec HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", pods)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if status := statusOf(t, response); status.Code != http.StatusServiceUnavailable {
		t.Errorf("an upgrade: %v", status)
	}
	if took := time.Since(begin); took > dialTimeout {
		t.Errorf("it took %v", took)
	}
}

// TestKnown has the server limit the connections of callers whom nobody knows.
func TestKnown(t *testing.T) {
	t.Parallel()
	token := http.Header{"Authorization": {"Bearer abc"}}
	for name, test := range map[string]struct {
		header http.Header
		path   string
		code   int
		known  int32
		// kept says whether the connection is used again.
		kept bool
	}{
		"a token":                     {token, pods, 200, 2, true},
		"a token, forbidden":          {token, pods, 403, 2, true},
		"a bad token":                 {token, pods, 401, 2, false},
		"nobody":                      {nil, pods, 401, 0, false},
		"nobody, forbidden":           {nil, pods, 403, 0, true},
		"nobody, where that is right": {nil, pods, 200, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(test.code) })
			client := g.client(certificates.Pair{})
			withHTTP1(client)
			var reused bool
			trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
			for range 2 {
				req := g.request(http.MethodGet, test.path, test.header)
				response := g.do(client, req.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
				if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != test.code {
					t.Errorf("got %s: %v", response.Status, err)
				}
			}
			if g.known.Load() != test.known || reused != test.kept {
				t.Errorf("the client was known %d times, and its connection used again: %t", g.known.Load(), reused)
			}
		})
	}
}

// TestConnections has anonymous requests leave alone the connections that others share.
func TestConnections(t *testing.T) {
	t.Parallel()
	protocols := make(chan int, 1)
	g := start(t, true, func(_ http.ResponseWriter, req *http.Request) { protocols <- req.ProtoMajor })
	for name, test := range map[string]struct {
		client *http.Client
		header http.Header
		want   int
	}{
		"nobody":        {g.client(certificates.Pair{}), nil, 1},
		"a token":       {g.client(certificates.Pair{}), http.Header{"Authorization": {"Bearer abc"}}, 2},
		"a certificate": {g.client(issue(t, g.users, "vera")), nil, 2},
	} {
		g.do(test.client, g.request(http.MethodGet, pods, test.header))
		if got := <-protocols; got != test.want {
			t.Errorf("%s: kube-apiserver is asked with HTTP/%d", name, got)
		}
	}
}

// TestOtherVersions asks for what the server serves in versions that it does not serve:
// the cluster's own objects must not appear.
func TestOtherVersions(t *testing.T) {
	t.Parallel()
	g := start(t, true, func(_ http.ResponseWriter, req *http.Request) { t.Errorf("%s is forwarded", req.URL) })
	client := g.client(certificates.Pair{})
	for _, path := range []string{
		"/apis/networking.k8s.io/v1beta1/servicecidrs", "/apis/networking.k8s.io/v1beta1/ipaddresses/10.96.0.1",
		"/apis/networking.k8s.io/v1beta1/watch/servicecidrs", "/apis/networking.k8s.io/v1alpha1/ipaddresses?watch=1",
		"/apis/discovery.k8s.io/v1beta1/namespaces/default/endpointslices",
	} {
		status := statusOf(t, g.do(client, g.request(http.MethodGet, path, nil)).Response)
		if status.Code != http.StatusNotFound || status.Reason != metav1.StatusReasonNotFound || !strings.Contains(status.Message, ": use v1") {
			t.Errorf("%s: %v", path, status)
		}
	}
}
