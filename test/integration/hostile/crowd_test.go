package hostile

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/test/framework"
)

// users are known by their tokens, which are their names.
func userFlags(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens.csv")
	lines := "reader,reader,1,portolan:readers\nother,other,2,portolan:readers\nwriter,writer,3,portolan:writers\n"
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return "--token-auth-file=" + file
}

// as is a client with connections of its own and a token, or none.
func as(t *testing.T, process *framework.Process, token string) *http.Client {
	t.Helper()
	config := rest.AnonymousClientConfig(process.Config(t))
	config.BearerToken = token
	config.Dial = (&net.Dialer{}).DialContext
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func code(client *http.Client, url string) (int, error) {
	response, err := client.Get(url)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// TestParkedReads has one reader wait 1200 times over for a version that there is
// none of yet. Health checks and everybody else go on.
func TestParkedReads(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flag string
		// crowded are requests that starve without fairness.
		crowded bool
	}{
		"with priority and fairness": {"--enable-priority-and-fairness=true", false},
		"without":                    {"--enable-priority-and-fairness=false", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			process, server := spawn(t, userFlags(t), test.flag)
			reader := as(t, process, "reader")
			ctx, cancel := context.WithCancel(t.Context())
			tooMany := make(chan struct{}, 1)
			var parked sync.WaitGroup
			for range 1200 {
				parked.Go(func() {
					for ctx.Err() == nil {
						if got, _ := code(reader, server.Config.Host+services+"?resourceVersion=99999999"); got == http.StatusTooManyRequests {
							select {
							case tooMany <- struct{}{}:
							default:
							}
							time.Sleep(100 * time.Millisecond)
						}
					}
				})
			}
			defer parked.Wait()
			defer cancel()
			<-tooMany
			for range 5 {
				for caller, path := range map[string]string{"": "/livez", "writer": services, "other": services} {
					if test.crowded && caller != "" {
						continue
					}
					if got, err := code(as(t, process, caller), server.Config.Host+path); got != http.StatusOK {
						t.Errorf("%q gets %d for %s: %v", caller, got, path, err)
					}
				}
				if got := server.send(t, http.MethodGet, services, "", nil).code; !test.crowded && got != http.StatusOK {
					t.Errorf("the administrator gets %d", got)
				}
			}
			usage := process.Usage(t)
			t.Logf("%s of computing and %d MB at most", usage.CPU, usage.Peak>>20)
		})
	}
}

// TestBytesLogged counts what callers without a name make the server log, for
// each byte that they send.
func TestBytesLogged(t *testing.T) {
	t.Parallel()
	process, server := spawn(t)
	address := strings.TrimPrefix(server.Config.Host, "https://")
	insecure := &tls.Config{InsecureSkipVerify: true}
	request := func(line, headers string) string {
		return "GET " + line + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + headers + "\r\n"
	}
	for _, flood := range []struct {
		name, sent string
		times      int
		encrypted  bool
		want       string
	}{
		{"URLs of 900 KB", request("/"+strings.Repeat("a", 900_000)+"?timeout=x", ""), 5, true, "414"},
		{"URLs of 10 KB", request("/"+strings.Repeat("a", 10_000)+"?timeout=x", ""), 100, true, "400"},
		{"timeouts that are none", request("/?timeout=x", ""), 200, true, "400"},
		{"headers of 900 KB", request("/api", "A: "+strings.Repeat("a", 900_000)+"\r\n"), 5, true, "431"},
		{"tokens that are none", request("/api", "Authorization: Bearer "+strings.Repeat("a", 200)+"\r\n"), 200, true, "401"},
		{"no credentials", request("/api", ""), 200, true, "401"},
		{"no TLS", strings.Repeat("a", 100), 200, false, ""},
		{"HTTP without TLS", request("/", ""), 200, false, "400"},
	} {
		before := process.Usage(t)
		for range flood.times {
			var conn net.Conn
			var err error
			if flood.encrypted {
				conn, err = tls.Dial("tcp", address, insecure)
			} else {
				conn, err = net.Dial("tcp", address)
			}
			if err != nil {
				t.Fatal(err)
			}
			// It may stop reading early: what counts is the answer.
			_, _ = io.Copy(conn, strings.NewReader(flood.sent))
			answer := make([]byte, 16)
			n, _ := io.ReadFull(conn, answer)
			conn.Close()
			if !bytes.Contains(answer[:n], []byte(flood.want)) {
				t.Fatalf("%s: answered with %q", flood.name, answer[:n])
			}
		}
		logged, sent := process.Usage(t).Logged-before.Logged, len(flood.sent)*flood.times
		t.Logf("%s: %d bytes logged of %d sent", flood.name, logged, sent)
		// A few lines are logged of whatever it is.
		const few = 5000
		if logged > int64(sent)/20+few {
			t.Errorf("%s: %d bytes logged of %d sent", flood.name, logged, sent)
		}
	}
}

// TestResetConnections counts what is logged of connections that clients reset.
func TestResetConnections(t *testing.T) {
	t.Parallel()
	process, server := spawn(t)
	before := process.Usage(t)
	for range 200 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(server.Config.Host, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		encrypted := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err := encrypted.Handshake(); err != nil {
			t.Fatal(err)
		}
		// The server reads from it before it is reset.
		if _, err := encrypted.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	// The server is done with them when it answers this.
	if a := server.send(t, http.MethodGet, "/readyz", "", nil); a.code != http.StatusOK {
		t.Error(a)
	}
	if logged := process.Usage(t).Logged - before.Logged; logged > 2000 {
		t.Errorf("%d bytes logged of 200 connections", logged)
	}
}

// connectionsVariable is how many connections TestIdleConnections opens.
const connectionsVariable = "PORTOLAN_CONNECTIONS"

// TestIdleConnections opens connections and says nothing on them, begins a
// handshake, or sends a body slowly. They end; a watch and a slow body of those
// who are known do not.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	const most, timeout, enough = 500, 3 * time.Second, 128 << 20
	attackers := 1500
	if text := os.Getenv(connectionsVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		attackers = n
	}
	process, server := spawn(t, fmt.Sprintf("--max-unauthenticated-connections=%d", most),
		"--unauthenticated-connection-timeout="+timeout.String())
	client := process.Client(t)
	watch, err := client.PortolanV1().Services("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	slow, end := io.Pipe()
	posted := make(chan error, 1)
	go func() {
		response, err := server.client.Post(server.Config.Host+services, jsonType, slow)
		if err == nil {
			defer response.Body.Close()
			if response.StatusCode != http.StatusCreated {
				err = fmt.Errorf("answered with %d", response.StatusCode)
			}
		}
		posted <- err
	}()
	if _, err := io.WriteString(end, `{"metadata":{"name":"slow"},`); err != nil {
		t.Fatal(err)
	}

	before := process.Usage(t)
	var open atomic.Int64
	var all sync.WaitGroup
	for i := range attackers {
		conn := openNth(t, server.Config.Host, i)
		open.Add(1)
		all.Go(func() {
			defer conn.Close()
			// It returns when the server closes the connection.
			_, _ = io.Copy(io.Discard, conn)
			open.Add(-1)
		})
	}
	after := process.Usage(t)
	t.Logf("%d connections, of which %d stay: %d MB resident before, %d after, %d at most, %s of computing",
		attackers, open.Load(), before.Resident>>20, after.Resident>>20, after.Peak>>20, after.CPU-before.CPU)
	if grown := after.Resident - before.Resident; grown > enough {
		t.Errorf("%d connections, of which %d may stay, cost %d MB", attackers, most, grown>>20)
	}
	all.Wait()

	if _, err := io.WriteString(end, `"spec":{"ports":[{"port":80}]}}`); err != nil {
		t.Fatal(err)
	}
	end.Close()
	if err := <-posted; err != nil {
		t.Errorf("the slow body of a known caller: %v", err)
	}
	if event := <-watch.ResultChan(); event.Object == nil {
		t.Errorf("the watch ended: %v", event)
	}
}

// openNth opens the nth connection of an attacker.
func openNth(t *testing.T, host string, n int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(host, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	encrypted := tls.Client(conn, &tls.Config{InsecureSkipVerify: true,
		NextProtos: []string{"h2", "http/1.1"}[n%2:]})
	switch n % 3 {
	case 0:
		// The handshake is begun and not ended.
		if _, err := conn.Write([]byte{22, 3, 1, 1, 0}); err != nil {
			t.Fatal(err)
		}
		return conn
	case 1:
		err = encrypted.Handshake()
	case 2:
		_, err = io.WriteString(encrypted,
			"POST "+services+" HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	}
	if err != nil {
		t.Fatal(err)
	}
	return encrypted
}
