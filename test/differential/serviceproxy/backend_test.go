package serviceproxy

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/websocket"

	"github.com/portolan-dev/portolan/test/framework"
)

// large is more than any buffer on the way holds.
const large = 16 << 20

// backend listens on loopback. It answers with the request, except for a few
// paths.
type backend struct {
	name string
	// seen receives when the client has read the first line of a stream.
	seen chan struct{}
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/redirect":
		http.Redirect(w, r, "/elsewhere/?a=b", http.StatusFound)
	case "/relative":
		w.Header().Set("Location", "sibling")
		w.WriteHeader(http.StatusMovedPermanently)
	case "/abroad":
		http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusTemporaryRedirect)
	case "/html":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		b.write(w, `<a href="/page">page</a><a href="page">near</a><img src="http://elsewhere/x.png"><script src="/app.js"></script>`)
	case "/teapot":
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("X-Of-Backend", "yes")
		w.WriteHeader(http.StatusTeapot)
	case "/stream":
		b.write(w, "first\n")
		w.(http.Flusher).Flush()
		select {
		case <-b.seen:
			b.write(w, "second\n")
		case <-r.Context().Done():
		}
	case "/large":
		b.write(w, strings.Repeat("0123456789abcdef", large/16))
	case "/sum":
		sum := sha256.New()
		size, err := io.Copy(sum, r.Body)
		b.write(w, fmt.Sprintf("%d bytes %x, length %d, error %v", size, sum.Sum(nil), r.ContentLength, err))
	case "/websocket":
		websocket.Handler(framework.Echo).ServeHTTP(w, r)
	default:
		body, err := io.ReadAll(r.Body)
		b.write(w, fmt.Sprintf("%s: %s %s %s TLS %t\n%s\nerror %v\n", b.name, r.Proto, r.Method, r.URL.RequestURI(), r.TLS != nil, body, err))
		if err := r.Header.Write(w); err != nil {
			b.write(w, err.Error())
		}
	}
}

// write writes, and ignores a client that is gone.
func (*backend) write(w io.Writer, text string) {
	if _, err := io.WriteString(w, text); err != nil {
		return
	}
}

// serve runs the backend on an address until the test ends, and returns its port.
func (b *backend) serve(t *testing.T, address string, secure bool) string {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(b)
	if err := server.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	server.Listener, server.EnableHTTP2 = listener, true
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func newBackend(name string) *backend { return &backend{name: name, seen: make(chan struct{}, 1)} }
