package auth

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authorization/path"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"github.com/portolan-dev/portolan/pkg/certificates"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// authorityFile makes a certificate authority, and a provider that reads it from a file.
func authorityFile(t *testing.T, name string) (certificates.Pair, dynamiccertificates.CAContentProvider) {
	t.Helper()
	authority, err := certificates.NewAuthority(name, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, certificates.EncodeCerts(authority.Cert), 0o600); err != nil {
		t.Fatal(err)
	}
	content, err := dynamiccertificates.NewDynamicCAContentFromFile(name, file)
	if err != nil {
		t.Fatal(err)
	}
	return authority, content
}

// TestRequestHeadersAreNotCached sends requests of several users with the one
// certificate of an aggregation layer. In the worst case the same authority signs the
// certificates of users too.
func TestRequestHeadersAreNotCached(t *testing.T) {
	authority, content := authorityFile(t, "both")
	alwaysAllowed, err := path.NewAuthorizer([]string{"/readyz"})
	if err != nil {
		t.Fatal(err)
	}
	config := &genericapiserver.Config{SecureServing: &genericapiserver.SecureServingInfo{}}
	_, err = applyAuthentication(config, options.New(), userSources{
		requestHeader: &authenticatorfactory.RequestHeaderConfig{
			CAContentProvider:   content,
			UsernameHeaders:     headerrequest.StaticStringSlice{"X-Remote-User"},
			UIDHeaders:          headerrequest.StaticStringSlice{},
			GroupHeaders:        headerrequest.StaticStringSlice{},
			ExtraHeaderPrefixes: headerrequest.StaticStringSlice{},
			AllowedClientNames:  headerrequest.StaticStringSlice{"front"},
		},
		clientCAs: []dynamiccertificates.CAContentProvider{content},
	}, alwaysAllowed)
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(name string) *x509.Certificate {
		pair, err := authority.Issue(x509.Certificate{
			Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, time.Now(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Cert
	}
	front, ann := leaf("front"), leaf("ann")
	for i, step := range []struct {
		cert               *x509.Certificate
		header, path, user string
	}{
		{front, "root", "/", "root"},
		{front, "ann", "/", "ann"},
		{front, "root", "/", "root"},
		// Without headers it is a user's certificate as well.
		{front, "", "/", "front"},
		{front, "ann", "/", "ann"},
		{ann, "root", "/", "ann"},
		{ann, "", "/", "ann"},
		{ann, "bob", "/", "ann"},
		{nil, "root", "/", ""},
		{nil, "root", "/readyz", "system:anonymous"},
	} {
		req := &http.Request{URL: &url.URL{Path: step.path}, Header: http.Header{}, TLS: &tls.ConnectionState{}}
		if step.cert != nil {
			req.TLS.PeerCertificates = []*x509.Certificate{step.cert}
		}
		if step.header != "" {
			req.Header.Set("X-Remote-User", step.header)
		}
		response, ok, _ := config.Authentication.Authenticator.AuthenticateRequest(req)
		user := ""
		if ok {
			user = response.User.GetName()
		}
		if user != step.user {
			t.Errorf("%d: authenticated as %q, want %q", i, user, step.user)
		}
	}
}
