//go:build e2e

package access

import (
	"net/http"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestNotFound requests what neither server serves.
func TestNotFound(t *testing.T) {
	servers := start(t)
	for _, path := range []string{
		"/apis/foo.bar", "/apis/foo.bar/", "/apis/foo.bar/v1", "/apis/foo.bar/v1/things", "/apis/foo.bar/v1/namespaces/x/y",
		"/apis/foo.bar/v1/namespaces/x/y/z", "/apis/networking.k8s.io/v7", "/apis/networking.k8s.io/v7/ingresses",
		"/apis/networking.k8s.io/v1/unknown", "/apis/networking.k8s.io/v1/namespaces/x/unknown/y",
		"/api/v1/unknown", "/api/v1/namespaces/x/unknown", "/api/v1/namespaces/x/unknown/y", "/api/v1/namespaces/default/services/a/unknown",
		"/api/v7", "/api/v7/services", "/nonsense", "/nonsense/", "/index.htm", "/versions", "/healthz/nonsense", "/metrics/nonsense", "/apisx",
		"/apix", "/openapi/v7", "/openapi/v3/", "/openapi/v3/apis/foo.bar/v1", "/openapi/v3/apis/foo.bar",
		"/openapi/v3/apis/networking.k8s.io/v7", "/openapi/v3/api/v7", "/openapi/v3/nonsense",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodHead} {
			for _, accept := range []string{"", "application/json", "application/vnd.kubernetes.protobuf", "text/html", "application/yaml"} {
				compareAnswers(t, servers, method, path, http.Header{"Accept": {accept}})
			}
		}
	}
	for _, args := range [][]string{
		{"get", "things.foo.bar"}, {"get", "--raw=/apis/foo.bar/v1"}, {"get", "--raw=/nonsense"}, {"get", "--raw=/api/v1/unknown"},
		{"delete", "--raw=/apis/foo.bar/v1/namespaces/x/y/z"}, {"explain", "things.foo.bar"},
	} {
		theirs := framework.NewKubectl(t, servers[0].kubeconfig).Fail(args...)
		if ours := framework.NewKubectl(t, servers[1].kubeconfig).Fail(args...); ours != theirs {
			t.Errorf("kubectl %v: got\n%swant\n%s", args, ours, theirs)
		}
	}
}

// compareAnswers sends a request to both servers and compares code, body and the headers
// about the body.
func compareAnswers(t *testing.T, servers [2]*server, method, path string, header http.Header) {
	t.Helper()
	theirs, ours := servers[0].send(t, method, path, "", header), servers[1].send(t, method, path, "", header)
	what := method + " " + path + " as " + header.Get("Accept")
	if theirs.code != ours.code || theirs.body != ours.body {
		t.Errorf("%s: got %d %s\nwant %d %s", what, ours.code, ours.body, theirs.code, theirs.body)
	}
	for _, name := range []string{"Content-Type", "Content-Length", "Cache-Control", "X-Content-Type-Options", "Location", "Allow"} {
		if theirs, ours := theirs.header.Get(name), ours.header.Get(name); theirs != ours {
			t.Errorf("%s: %s: got %q, want %q", what, name, ours, theirs)
		}
	}
}
