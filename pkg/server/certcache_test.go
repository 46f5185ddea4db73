package server

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

func TestRememberCertificates(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := testclock.NewFakeClock(now)
	asked := 0
	refusal := errors.New("unknown authority")
	remember := rememberCertificates(authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
		asked++
		switch {
		case req.TLS == nil:
			return nil, false, nil
		case string(req.TLS.PeerCertificates[0].Raw) == "forged":
			return nil, false, refusal
		}
		return &authenticator.Response{User: &user.DefaultInfo{Name: string(req.TLS.PeerCertificates[0].Raw)}}, true, nil
	}), clock)
	with := func(raw string, notAfter time.Time) *http.Request {
		return &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte(raw), NotAfter: notAfter}}}}
	}
	later, soon := now.Add(time.Hour), now.Add(time.Second)

	for _, step := range []struct {
		what  string
		after time.Duration
		req   *http.Request
		user  string
		err   error
		asked int
	}{
		{"first", 0, with("ann", later), "ann", nil, 1},
		{"again", 0, with("ann", later), "ann", nil, 0},
		{"another", 0, with("bob", soon), "bob", nil, 1},
		{"forged", 0, with("forged", later), "", refusal, 1},
		{"forged again", 0, with("forged", later), "", refusal, 1},
		{"none", 0, &http.Request{}, "", nil, 1},
		{"past its own end", 2 * time.Second, with("bob", soon), "bob", nil, 1},
		{"still remembered", 0, with("ann", later), "ann", nil, 0},
		{"after the time to live", certificateTTL, with("ann", later), "ann", nil, 1},
	} {
		clock.Step(step.after)
		asked = 0
		response, ok, err := remember.AuthenticateRequest(step.req)
		name := ""
		if ok {
			name = response.User.GetName()
		}
		if name != step.user || !errors.Is(err, step.err) || asked != step.asked {
			t.Errorf("%s: user %q, error %v, asked %d times", step.what, name, err, asked)
		}
	}
}
