package etcd

import (
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
)

const (
	probePeriod  = time.Second
	probeTimeout = time.Second
	// maxMisses is how many probes in a row a member fails before it gets no more
	// requests.
	maxMisses = 2
	// reconnectPeriod is the longest time between two attempts to connect to a
	// member. With gRPC's default, two minutes, a replica would stay without etcd
	// for that long after etcd is back.
	reconnectPeriod = 3 * time.Second
)

// health keeps a client away from the members of etcd that don't answer.
//
// gRPC balances requests over all members that it is connected to. A member that
// hangs or is cut off stays connected until a keepalive fails. A member that can
// reach us but not the other members stays connected for good. Meanwhile a third
// of all requests wait for it, and so do its watches.
//
// So health probes each member with a read that needs a quorum, over a connection
// of its own. A member that fails its probes while another answers is removed from
// the client's endpoints, and its connections are closed: the client retries
// idempotent calls on another member and returns Unavailable for the others. While
// no member answers, nothing changes.
type health struct {
	client      *clientv3.Client
	connections *connections
	probes      []*probe
}

// probe checks one member.
type probe struct {
	endpoint string
	client   *clientv3.Client
	misses   int
}

func newHealth(client *clientv3.Client, connections *connections, config clientv3.Config) (*health, error) {
	h := &health{client: client, connections: connections}
	// Probes are not traced.
	config.DialOptions = []grpc.DialOption{connectParams(probeTimeout)}
	// A single failed probe is not worth a log line; round logs its effect.
	config.Logger = zap.NewNop()
	for _, endpoint := range client.Endpoints() {
		config.Endpoints = []string{endpoint}
		client, err := clientv3.New(config)
		if err != nil {
			return nil, errors.Join(err, h.close())
		}
		h.probes = append(h.probes, &probe{endpoint: endpoint, client: client})
	}
	return h, nil
}

// run probes all members every probePeriod until ctx ends.
func (h *health) run(ctx context.Context) { wait.UntilWithContext(ctx, h.round, probePeriod) }

func (h *health) round(ctx context.Context) {
	var running sync.WaitGroup
	for _, p := range h.probes {
		running.Go(func() { p.check(ctx) })
	}
	running.Wait()
	var answering []string
	missed := 0
	for _, p := range h.probes {
		if p.misses < maxMisses {
			answering = append(answering, p.endpoint)
		}
		if p.misses > 0 {
			missed++
		}
	}
	if ctx.Err() != nil || missed == len(h.probes) || slices.Equal(answering, h.client.Endpoints()) {
		return
	}
	klog.InfoS("Changing the members of etcd that get requests", "to", answering, "from", h.client.Endpoints())
	h.client.SetEndpoints(answering...)
	for _, p := range h.probes {
		if p.misses >= maxMisses {
			h.connections.close(address(p.endpoint))
		}
	}
}

func (p *probe) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if _, err := p.client.Get(ctx, "health"); err != nil {
		p.misses++
		return
	}
	p.misses = 0
}

func (h *health) close() error {
	var errs []error
	for _, p := range h.probes {
		errs = append(errs, p.client.Close())
	}
	return errors.Join(errs...)
}

// connectParams limits how long a client needs to notice that a member is back.
func connectParams(timeout time.Duration) grpc.DialOption {
	params := grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: timeout}
	params.Backoff.MaxDelay = reconnectPeriod
	return grpc.WithConnectParams(params)
}

// connections holds a client's open connections and the address of each. It is
// safe for concurrent use.
type connections struct {
	mu   sync.Mutex
	open map[*connection]string
}

type connection struct {
	net.Conn
	registry *connections
}

func newConnections() *connections { return &connections{open: map[*connection]string{}} }

// dial connects as gRPC's own dialer does, and records the connection.
func (c *connections) dial(ctx context.Context, address string) (net.Conn, error) {
	network, target := "tcp", address
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		network, target = "unix", strings.TrimPrefix(path, "//")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, target)
	if err != nil {
		return nil, err
	}
	recorded := &connection{Conn: conn, registry: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[recorded] = address
	return recorded, nil
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.registry.mu.Lock()
	delete(c.registry.open, c)
	c.registry.mu.Unlock()
	return c.Conn.Close()
}

// close closes all connections to an address.
func (c *connections) close(address string) {
	c.mu.Lock()
	var matching []*connection
	for conn, to := range c.open {
		if to == address {
			matching = append(matching, conn)
		}
	}
	c.mu.Unlock()
	for _, conn := range matching {
		if err := conn.Close(); err != nil {
			klog.V(2).InfoS("Closing a connection to etcd", "address", address, "err", err)
		}
	}
}

// address returns the address that gRPC dials for an endpoint.
func address(endpoint string) string {
	if u, err := url.Parse(endpoint); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		return u.Host
	}
	return endpoint
}
