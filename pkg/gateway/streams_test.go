package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

// answer is a response whose body is closed when the test ends.
type answer struct{ *http.Response }

// do sends a request and fails the test if there is no answer.
func (g *gateway) do(client *http.Client, req *http.Request) answer {
	g.t.Helper()
	response, err := client.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { response.Body.Close() })
	return answer{response}
}

func receive[T any](t *testing.T, what string, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(patience):
		t.Fatalf("waited in vain: %s", what)
	}
	return value
}

// TestWatch has each event arrive before the next one is sent, and the client's leaving
// as well.
func TestWatch(t *testing.T) {
	t.Parallel()
	next, left := make(chan string), make(chan struct{})
	g := start(t, true, func(w http.ResponseWriter, req *http.Request) {
		defer close(left)
		w.WriteHeader(http.StatusOK)
		for {
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
			select {
			case event := <-next:
				_, _ = fmt.Fprintln(w, event)
			case <-req.Context().Done():
				return
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	response := g.do(g.client(issue(t, g.users, "vera")), g.request(http.MethodGet, pods+"?watch=1", nil).WithContext(ctx))
	events := bufio.NewScanner(response.Body)
	for _, event := range []string{"a", "b", "c"} {
		next <- event
		if !events.Scan() || events.Text() != event {
			t.Fatalf("got %q: %v", events.Text(), events.Err())
		}
	}
	if g.known.Load() != 1 {
		t.Errorf("the client was known %d times", g.known.Load())
	}
	cancel()
	receive(t, "the client's leaving", left)
}

// TestDrain ends watches as a server does that stops, and breaks off what is not complete.
func TestDrain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path string
		ends bool
	}{
		"a watch": {pods + "?watch=1", true}, "a log": {pods + "/web/log?follow=true", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, false, func(w http.ResponseWriter, req *http.Request) {
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush()
				<-req.Context().Done()
			})
			client := g.client(certificates.Pair{})
			response := g.do(client, g.request(http.MethodGet, test.path, http.Header{"Authorization": {"Bearer abc"}}))
			g.forwarder.Drain()
			ended := make(chan error, 1)
			go func() {
				_, err := io.ReadAll(response.Body)
				ended <- err
			}()
			if err := receive(t, "the end", ended); (err == nil) != test.ends {
				t.Errorf("it ended with %v", err)
			}
			again := g.do(client, g.request(http.MethodGet, test.path, nil))
			if status := statusOf(t, again.Response); status.Code != http.StatusServiceUnavailable || again.Header.Get("Retry-After") != "1" {
				t.Errorf("one more: %v", status)
			}
		})
	}
}

// TestBroken has kube-apiserver break off an answer: the client does not take it for a
// whole one.
func TestBroken(t *testing.T) {
	t.Parallel()
	g := start(t, false, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of it")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	response := g.do(g.client(certificates.Pair{}), g.request(http.MethodGet, pods, nil))
	if data, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("the answer is %q", data)
	}
}

// zeros reads as many zeros.
func zeros(n int64) io.Reader { return io.LimitReader(zeroReader{}, n) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { return len(p), nil }

// TestLargeBodies passes bodies of which memory must not hold much.
func TestLargeBodies(t *testing.T) {
	const size, most = 100 << 20, 48 << 20
	var read atomic.Int64
	g := start(t, true, func(w http.ResponseWriter, req *http.Request) {
		n, _ := io.Copy(io.Discard, req.Body)
		read.Store(n)
		if req.Method == http.MethodGet {
			_, _ = io.Copy(w, zeros(size))
		}
	})
	var peak atomic.Uint64
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				var stats runtime.MemStats
				runtime.ReadMemStats(&stats)
				peak.Store(max(peak.Load(), stats.HeapInuse))
			}
		}
	}()
	for name, pair := range map[string]certificates.Pair{"anonymous": {}, "named": issue(t, g.users, "vera")} {
		client := g.client(pair)
		response := g.do(client, g.request(http.MethodGet, pods+"/web/log", nil))
		if n, err := io.Copy(io.Discard, response.Body); err != nil || n != size {
			t.Errorf("%s: %d bytes down: %v", name, n, err)
		}
		up := g.request(http.MethodPost, "/api/v1/namespaces/default/configmaps", nil)
		up.Body = io.NopCloser(zeros(size))
		if g.do(client, up); read.Load() != size {
			t.Errorf("%s: %d bytes up", name, read.Load())
		}
	}
	if peak.Load() > most {
		t.Errorf("the heap grew to %d MiB", peak.Load()>>20)
	}
}

// TestUpgrade joins the connections of both.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	users := make(chan string, 1)
	g := start(t, true, func(w http.ResponseWriter, req *http.Request) {
		users <- req.Header.Get("X-Remote-User")
		if strings.HasSuffix(req.URL.Path, "/forbidden") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", req.Header.Get("Upgrade"))
		_, _ = io.Copy(conn, both)
	})
	for name, test := range map[string]struct {
		protocol, path, user string
		cert                 certificates.Pair
	}{
		"WebSocket, a token":     {"websocket", pods + "/web/exec", "", certificates.Pair{}},
		"SPDY, a certificate":    {"SPDY/3.1", pods + "/web/exec", "vera", issue(t, g.users, "vera")},
		"forbidden, certificate": {"SPDY/3.1", pods + "/web/forbidden", "vera", issue(t, g.users, "vera")},
	} {
		conn := g.dial(test.cert)
		_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\nUpgrade: %s\r\nAuthorization: Bearer abc\r\n"+
			"X-Remote-User: root\r\n\r\n", test.path, test.protocol)
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		response.Body.Close()
		if user := <-users; user != test.user {
			t.Errorf("%s: kube-apiserver sees %q", name, user)
		}
		if strings.HasPrefix(name, "forbidden") {
			if response.StatusCode != http.StatusForbidden {
				t.Errorf("%s: %s", name, response.Status)
			}
			continue
		}
		if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Upgrade") != test.protocol {
			t.Fatalf("%s: %s", name, response.Status)
		}
		for _, line := range []string{"one\n", "two\n"} {
			_, _ = io.WriteString(conn, line)
			if got, err := reader.ReadString('\n'); err != nil || got != line {
				t.Errorf("%s: got %q: %v", name, got, err)
			}
		}
	}
	if g.known.Load() != 3 {
		t.Errorf("clients were known %d times", g.known.Load())
	}
}

// dial connects for HTTP/1.1.
func (g *gateway) dial(pair certificates.Pair) *tls.Conn {
	g.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(g.front.Certificate())
	config := &tls.Config{RootCAs: roots, NextProtos: []string{"http/1.1"}}
	if pair.Cert != nil {
		config.Certificates = []tls.Certificate{{Certificate: [][]byte{pair.Cert.Raw}, PrivateKey: pair.Key}}
	}
	conn, err := tls.Dial("tcp", g.front.Listener.Addr().String(), config)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		g.t.Fatal(err)
	}
	return conn
}
