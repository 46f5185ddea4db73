package callers

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// pair is both ends of a connection.
type pair struct{ client, server net.Conn }

func (p pair) address() string { return p.client.LocalAddr().String() }

// open reports whether the server has not closed its end.
func (p pair) open(t *testing.T) bool { return p.openAfter(t, 20*time.Millisecond) }

// closed reports whether the server closes its end.
func (p pair) closed(t *testing.T) bool { return !p.openAfter(t, time.Minute) }

func (p pair) openAfter(t *testing.T, wait time.Duration) bool {
	t.Helper()
	if err := p.client.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	_, err := p.client.Read(make([]byte, 1))
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func listen(t *testing.T, most int, timeout time.Duration) (*Connections, func() pair) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections := NewConnections(listener, most, timeout)
	t.Cleanup(func() { connections.Close() })
	return connections, func() pair {
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		server, err := connections.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		return pair{client, server}
	}
}

func TestMostConnections(t *testing.T) {
	t.Parallel()
	connections, dial := listen(t, 2, time.Hour)
	first, second := dial(), dial()
	connections.Authenticated(first.address())
	third, fourth := dial(), dial()
	if !second.closed(t) {
		t.Error("the oldest unauthenticated connection is open")
	}
	for name, conn := range map[string]pair{"authenticated": first, "next": third, "newest": fourth} {
		if !conn.open(t) {
			t.Errorf("the %s connection is closed", name)
		}
	}
	// A connection that is closed makes room.
	third.server.Close()
	if dial(); !fourth.open(t) {
		t.Error("a connection was closed although there was room")
	}
}

func TestTimeoutOfConnections(t *testing.T) {
	t.Parallel()
	connections, dial := listen(t, 10, time.Second)
	authenticated, unauthenticated := dial(), dial()
	connections.Authenticated(authenticated.address())
	if _, err := unauthenticated.client.Read(make([]byte, 1)); err == nil {
		t.Error("something was read from a connection without a request")
	}
	if !authenticated.open(t) {
		t.Error("the authenticated connection was closed as well")
	}
	connections.mu.Lock()
	defer connections.mu.Unlock()
	if connections.unauthenticated.Len() > 0 || len(connections.byAddress) > 0 {
		t.Errorf("%d connections by age and %d by address are left", connections.unauthenticated.Len(), len(connections.byAddress))
	}
}

func TestAuthenticator(t *testing.T) {
	t.Parallel()
	connections, dial := listen(t, 1, time.Hour)
	var response *authenticator.Response
	var failure error
	limiting := connections.Authenticator(authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
		return response, response != nil, failure
	}))
	accepted := dial()
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.RemoteAddr = accepted.address()
	ask := func(name string) error {
		response = &authenticator.Response{User: &user.DefaultInfo{Name: name}}
		_, _, err := limiting.AuthenticateRequest(req)
		return err
	}
	if err := ask(user.Anonymous); err != nil || connections.unauthenticated.Len() != 1 {
		t.Errorf("after an anonymous request %d are unauthenticated: %v", connections.unauthenticated.Len(), err)
	}
	if err := ask("jane"); err != nil || connections.unauthenticated.Len() != 0 {
		t.Errorf("after a request of a user %d are unauthenticated: %v", connections.unauthenticated.Len(), err)
	}

	response, failure = nil, errors.New(strings.Repeat("x", 10_000))
	logged := 0
	for range 1000 {
		_, ok, err := limiting.AuthenticateRequest(req)
		if ok {
			t.Fatal("authenticated")
		}
		if err != nil {
			logged++
			if len(err.Error()) > maxLogged {
				t.Fatalf("%d bytes are logged", len(err.Error()))
			}
		}
	}
	if logged == 0 || logged > 2*failuresBurst {
		t.Errorf("%d of 1000 failures are logged", logged)
	}
}

func TestRequestLimits(t *testing.T) {
	t.Parallel()
	limits := Limits{
		Resolver:    &apirequest.RequestInfoFactory{APIPrefixes: sets.NewString("api"), GrouplessAPIPrefixes: sets.NewString("api")},
		LongRunning: func(_ *http.Request, info *apirequest.RequestInfo) bool { return info.Verb == "watch" },
	}
	for name, test := range map[string]struct {
		url, header string
		want        string
	}{
		"plain":                          {"/api/v1/services?timeout=5s", "", ""},
		"a long URL":                     {"/" + strings.Repeat("a", maxURL), "", "the URL has"},
		"a long query":                   {"/?" + strings.Repeat("a", maxURL), "", "the URL has"},
		"long headers":                   {"/", strings.Repeat("a", maxHeaders), "the headers have"},
		"headers at the limit":           {"/", strings.Repeat("a", maxHeaders-10), ""},
		"a malformed timeout":            {"/api/v1/services?timeout=x", "", "invalid timeout specified in the request URL"},
		"a malformed timeout, escaped":   {"/api/v1/services?%74imeout=x", "", "invalid timeout specified in the request URL"},
		"a malformed timeout of a watch": {"/api/v1/watch/services?timeout=x", "", ""},
	} {
		req := httptest.NewRequest(http.MethodGet, test.url, nil)
		req.Header.Set("A", test.header)
		err := limits.check(req)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
