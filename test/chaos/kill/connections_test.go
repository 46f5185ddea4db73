package kill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// smallRanges are just large enough for the clients, so that a lost value is
// noticed.
var smallRanges = []string{"--service-cluster-ip-range=10.96.0.0/24,fd00:10:96::/120", "--service-node-port-range=20000-24095"}

const smallRangeSize = 254

// breaker makes connections that are reset after some bytes in either
// direction, whatever is being sent.
type breaker struct {
	mu     sync.Mutex
	random *rand.Rand
}

// A handshake has some 2,000 bytes in each direction, a request or an answer
// some 1,000.
const maxBytes = 30_000

func (b *breaker) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return &brokenConn{TCPConn: conn.(*net.TCPConn), writes: 1 + b.random.IntN(maxBytes), reads: 1 + b.random.IntN(maxBytes)}, nil
}

// brokenConn is reset after some bytes. One goroutine reads it and one writes
// it.
type brokenConn struct {
	*net.TCPConn
	writes, reads int
}

func (c *brokenConn) Write(data []byte) (int, error) {
	part := data[:min(len(data), c.writes)]
	n, err := c.TCPConn.Write(part)
	if c.writes -= n; err == nil && c.writes == 0 {
		err = c.reset()
	}
	return n, err
}

func (c *brokenConn) Read(data []byte) (int, error) {
	n, err := c.TCPConn.Read(data[:min(len(data), c.reads)])
	if c.reads -= n; err == nil && c.reads == 0 {
		err = c.reset()
	}
	return n, err
}

// reset closes the connection with a TCP reset.
func (c *brokenConn) reset() error {
	if err := c.SetLinger(0); err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return err
	}
	return fmt.Errorf("reset by the test: %w", net.ErrClosed)
}

// maxPatience is the longest time until a client cancels a request; most
// answers take a tenth of it.
const maxPatience = 50 * time.Millisecond

func impatient(ctx context.Context, random *rand.Rand) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Duration(random.Int64N(int64(maxPatience))))
}

// TestBrokenConnections resets connections in the middle of requests and
// answers, and cancels requests at any time. Each write is carried out
// completely or not at all, and the server keeps nothing of the others.
func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	rounds := 5
	if testing.Short() {
		rounds = 1
	}
	s := newStore(t, framework.Seed(t), 0)
	b := &breaker{random: framework.Random(1, 0)}
	start := func() *framework.Process {
		server := framework.Serve(t, s.dir(), s.port, smallRanges...)
		server.WaitReady(t)
		return server
	}
	var sum [3]int64
	load := func(server *framework.Process) {
		for _, l := range []*life{
			{lossy: true, servers: []dynamic.Interface{connectThrough(t, server, b.dial), connectThrough(t, server, b.dial)}},
			{lossy: true, servers: []dynamic.Interface{connect(t, server)}, bound: impatient},
		} {
			s.write(l, func() { time.Sleep(maxLife) })
			for i, n := range []int64{l.count.Load(), l.unanswered.Load(), l.refused.Load()} {
				sum[i] += n
			}
		}
	}
	for range rounds {
		server := start()
		load(server)
		server.Kill(t)
		s.checkStored(t)
		server = start()
		connection := connect(t, server)
		s.checkShown(t, connection)
		s.removeAbandoned(t, connection)
		server.Kill(t)
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d writes acknowledged, %d without an answer, %d refused", sum[0], sum[1], sum[2])

	// The server's index of free values must be right as well.
	server := start()
	load(server)
	expectRangeWhole(t, connect(t, server))
}

// removeAbandoned deletes the objects that are in no slot.
func (s *store) removeAbandoned(t *testing.T, connection dynamic.Interface) {
	t.Helper()
	kept := map[key]bool{}
	for _, c := range s.clients {
		for _, slot := range c.slots {
			kept[key{slot.kind.resource, slot.name}] = true
		}
	}
	for _, kind := range kinds() {
		for k, r := range s.journal.records {
			if k.Resource != kind.resource || r.object == nil || kept[k] {
				continue
			}
			s.journal.append(t, entry{Event: sent, Key: k, Verb: remove}, nil)
			if err := connection.Resource(kind.groups[0].WithResource(k.Resource)).Namespace(namespace).Delete(t.Context(), k.Name,
				metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
			s.journal.append(t, entry{Event: acknowledged, Key: k}, nil)
		}
	}
}

// expectRangeWhole wants a running server to allocate every address of the
// small range after its clients are gone.
func expectRangeWhole(t *testing.T, connection dynamic.Interface) {
	t.Helper()
	services := connection.Resource(v1.SchemeGroupVersion.WithResource("services")).Namespace(namespace)
	addresses := connection.Resource(v1.SchemeGroupVersion.WithResource("ipaddresses"))
	await := func(what string, do func(context.Context) error) {
		t.Helper()
		framework.Eventually(t, what, func(ctx context.Context) (bool, error) {
			err := do(ctx)
			return err == nil, err
		})
	}
	// A write that its client has canceled may still be under way.
	await("Services are deleted", func(ctx context.Context) error {
		if err := services.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			return err
		}
		left, err := addresses.List(ctx, metav1.ListOptions{})
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("%d addresses are left", len(left.Items))
		}
		return err
	})
	for n := range smallRangeSize {
		await("every address can be had", func(ctx context.Context) error {
			_, err := services.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": v1.SchemeGroupVersion.String(), "kind": "Service", "metadata": map[string]any{"name": fmt.Sprintf("all-%d", n)},
				"spec": map[string]any{"ports": []any{map[string]any{"port": int64(80)}}},
			}}, metav1.CreateOptions{})
			return err
		})
	}
}
