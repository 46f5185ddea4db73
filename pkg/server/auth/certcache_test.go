package auth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	testclock "k8s.io/utils/clock/testing"
)

func TestCacheCertificates(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := testclock.NewFakeClock(now)
	verified := 0
	rejection := errors.New("unknown authority")
	cached := cacheCertificates(authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
		verified++
		switch {
		case req.TLS == nil:
			return nil, false, nil
		case string(req.TLS.PeerCertificates[0].Raw) == "forged":
			return nil, false, rejection
		}
		return &authenticator.Response{User: &user.DefaultInfo{Name: string(req.TLS.PeerCertificates[0].Raw)}}, true, nil
	}), clock)
	with := func(raw string, notAfter time.Time) *http.Request {
		return &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte(raw), NotAfter: notAfter}}}}
	}
	later, soon := now.Add(time.Hour), now.Add(time.Second)

	for _, step := range []struct {
		what     string
		after    time.Duration
		req      *http.Request
		user     string
		err      error
		verified int
	}{
		{"first", 0, with("ann", later), "ann", nil, 1},
		{"again", 0, with("ann", later), "ann", nil, 0},
		{"another", 0, with("bob", soon), "bob", nil, 1},
		{"forged", 0, with("forged", later), "", rejection, 1},
		{"forged again", 0, with("forged", later), "", rejection, 1},
		{"none", 0, &http.Request{}, "", nil, 1},
		{"expired", 2 * time.Second, with("bob", soon), "bob", nil, 1},
		{"still cached", 0, with("ann", later), "ann", nil, 0},
		{"after the TTL", certificateTTL, with("ann", later), "ann", nil, 1},
	} {
		clock.Step(step.after)
		verified = 0
		response, ok, err := cached.AuthenticateRequest(step.req)
		name := ""
		if ok {
			name = response.User.GetName()
		}
		if name != step.user || !errors.Is(err, step.err) || verified != step.verified {
			t.Errorf("%s: user %q, error %v, verified %d times", step.what, name, err, verified)
		}
	}
}
