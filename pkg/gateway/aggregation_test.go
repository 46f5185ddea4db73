package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestAggregation serves what kube-apiserver asks about the server itself, without the
// documents of other groups.
func TestAggregation(t *testing.T) {
	t.Parallel()
	served := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Etag", "all")
		const all = `{"paths":{"api/v1":{},"apis/portolan.dev":{},"apis/portolan.dev/v1":{"a":"b"},"version":{}}}`
		if _, err := io.WriteString(w, all); err != nil {
			t.Error(err)
		}
	})
	forwarded := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	split := Split(served, forwarded, resolver())
	const own = `{"paths":{"apis/portolan.dev":{},"apis/portolan.dev/v1":{"a":"b"}}}`
	for _, test := range []struct {
		path, user string
		cert       bool
		code       int
		body       string
	}{
		{"/openapi/v3", "system:aggregator", true, http.StatusOK, own},
		{"/apis", "system:kube-aggregator", true, http.StatusOK, ""},
		{"/openapi/v2", "system:aggregator", true, http.StatusOK, ""},
		{"/openapi/v3", "system:aggregator", false, http.StatusTeapot, ""},
		{"/openapi/v3", "somebody", true, http.StatusTeapot, ""},
		{"/openapi/v3/api/v1", "system:aggregator", true, http.StatusTeapot, ""},
		{"/api/v1/pods", "system:kube-aggregator", true, http.StatusTeapot, ""},
	} {
		request := httptest.NewRequest(http.MethodGet, test.path, nil)
		request.Header.Set("X-Remote-User", test.user)
		if test.cert {
			request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
		}
		got := httptest.NewRecorder()
		split.ServeHTTP(got, request)
		if got.Code != test.code || (test.body != "" && (got.Body.String() != test.body || got.Header().Get("Etag") != "")) {
			t.Errorf("%s of %s: %d %s", test.path, test.user, got.Code, got.Body)
		}
	}
}
