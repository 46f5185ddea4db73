package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authentication/request/union"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

const (
	frontName = "front-proxy"
	pods      = "/api/v1/namespaces/default/pods"
	patience  = 10 * time.Second
)

// gateway is a Forwarder behind TLS, and a server that stands for kube-apiserver.
type gateway struct {
	t *testing.T
	// users and fronts sign client certificates.
	users, fronts certificates.Pair
	forwarder     *Forwarder
	front         *httptest.Server
	// known counts how often a client was known.
	known atomic.Int32
}

// start starts a gateway to a handler. Paired gateways have a front proxy's certificate.
func start(t *testing.T, paired bool, handler http.HandlerFunc) *gateway {
	t.Helper()
	return startAt(t, paired, handler, "")
}

func startAt(t *testing.T, paired bool, handler http.HandlerFunc, base string) *gateway {
	t.Helper()
	g := &gateway{t: t, users: authority(t, "users"), fronts: authority(t, "fronts")}
	back := serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == base+selfReviews && req.Header.Get("X-Remote-User") == checkUser {
			review(w, checkUser)
			return
		}
		handler(w, req)
	}))
	config := Config{
		Cluster: &rest.Config{
			Host: back.URL + base, TLSClientConfig: rest.TLSClientConfig{CAData: certificates.EncodeCerts(back.Certificate())},
			// Nothing of these may be used.
			BearerToken: "own", UserAgent: "own", Impersonate: rest.ImpersonationConfig{UserName: "own"},
		},
		Callers:       g.callers(),
		Authenticated: func(string) { g.known.Add(1) },
		Serializer:    scheme.Codecs.WithoutConversion(),
	}
	if paired {
		config.CertFile, config.KeyFile = files(t, issue(t, g.fronts, "portolan"))
	}
	var err error
	if g.forwarder, err = New(config); err != nil {
		t.Fatal(err)
	}
	g.front = serveTLS(t, Split(http.NotFoundHandler(), g.forwarder, resolver()))
	return g
}

// callers knows users by certificate, and a front proxy that names users in X-User as
// well.
func (g *gateway) callers() Callers {
	config := &authenticatorfactory.RequestHeaderConfig{
		UsernameHeaders: headerrequest.StaticStringSlice{"X-User", "X-Remote-User"}, UIDHeaders: headerrequest.StaticStringSlice{"X-Remote-Uid"},
		GroupHeaders:        headerrequest.StaticStringSlice{"X-Remote-Group"},
		ExtraHeaderPrefixes: headerrequest.StaticStringSlice{"X-Remote-Extra-"},
	}
	options := func(authority certificates.Pair) x509.VerifyOptions {
		roots := x509.NewCertPool()
		roots.AddCert(authority.Cert)
		return x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	}
	front := headerrequest.NewDynamicVerifyOptionsSecure(func() (x509.VerifyOptions, bool) { return options(g.fronts), true },
		headerrequest.StaticStringSlice{frontName}, config.UsernameHeaders, config.UIDHeaders, config.GroupHeaders, config.ExtraHeaderPrefixes)
	return Callers{Certificates: union.New(front, x509request.New(options(g.users), x509request.CommonNameUserConversion)), Front: config}
}

// review answers a SelfSubjectReview.
func review(w http.ResponseWriter, name string) {
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(authenticationv1.SelfSubjectReview{
		Status: authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{Username: name}},
	})
}

// serveTLS serves with HTTP/1.1 and HTTP/2, and asks for client certificates.
func serveTLS(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func authority(t *testing.T, name string) certificates.Pair {
	t.Helper()
	pair, err := certificates.NewAuthority(name, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func issue(t *testing.T, authority certificates.Pair, name string, groups ...string) certificates.Pair {
	t.Helper()
	pair, err := authority.Issue(x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: groups}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// files writes a certificate and its key.
func files(t *testing.T, pair certificates.Pair) (certFile, keyFile string) {
	t.Helper()
	cert, key, err := pair.Encode()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	for file, data := range map[string][]byte{certFile: cert, keyFile: key} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// client makes a client with connections of its own and with a certificate, unless that
// is empty.
func (g *gateway) client(pair certificates.Pair) *http.Client {
	g.t.Helper()
	made := g.front.Client().Transport.(*http.Transport).Clone()
	made.ForceAttemptHTTP2 = true
	if pair.Cert != nil {
		made.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{pair.Cert.Raw}, PrivateKey: pair.Key}}
	}
	g.t.Cleanup(made.CloseIdleConnections)
	return &http.Client{Transport: made}
}

// withHTTP1 has a client use HTTP/1.1.
func withHTTP1(client *http.Client) {
	transport := client.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2, transport.TLSClientConfig.NextProtos = false, []string{"http/1.1"}
}

func (g *gateway) request(method, path string, header http.Header) *http.Request {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.front.URL+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	if header != nil {
		req.Header = header.Clone()
	}
	return req
}

// restartAt replaces the forwarder by one to another kube-apiserver.
func (g *gateway) restartAt(url string, authority []byte) {
	g.t.Helper()
	config := g.forwarder.config
	config.Cluster = &rest.Config{Host: url, TLSClientConfig: rest.TLSClientConfig{CAData: authority}}
	var err error
	if g.forwarder, err = New(config); err != nil {
		g.t.Fatal(err)
	}
	g.front = serveTLS(g.t, Split(http.NotFoundHandler(), g.forwarder, resolver()))
}
