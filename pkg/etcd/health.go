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
	// maxMisses in a row and a member is no longer asked.
	maxMisses = 2
	// reconnectPeriod is the longest time between two tries to connect to a
	// member. gRPC's default is two minutes, which a replica would go on without
	// etcd after that is back.
	reconnectPeriod = 3 * time.Second
)

// health keeps a client away from the members of etcd that don't answer.
//
// gRPC gives each member that it has a connection to its turn. One that hangs,
// or that the network has cut off, keeps its connection until a keepalive says
// otherwise; one that has lost the others but not us keeps it for good. Until
// then a third of all requests wait for it, and all watches that it serves. So
// each member is asked again and again for something that takes a quorum, over a
// connection of its own. Who misses while another answers gets no new requests,
// and his connections are closed: etcd's client asks somebody else what it may
// ask twice, and says of the rest that there was no answer. As long as nobody
// answers everything stays as it is.
type health struct {
	client      *clientv3.Client
	connections *connections
	probes      []*probe
}

// probe asks one member.
type probe struct {
	endpoint string
	client   *clientv3.Client
	misses   int
}

func newHealth(client *clientv3.Client, connections *connections, config clientv3.Config) (*health, error) {
	h := &health{client: client, connections: connections}
	// A request to a member under probe is not one to trace.
	config.DialOptions = []grpc.DialOption{connectParams(probeTimeout)}
	// A probe that misses is counted, and what follows from that is logged.
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

// run asks all members until the context ends.
func (h *health) run(ctx context.Context) { wait.UntilWithContext(ctx, h.round, probePeriod) }

func (h *health) round(ctx context.Context) {
	var asked sync.WaitGroup
	for _, p := range h.probes {
		asked.Go(func() { p.ask(ctx) })
	}
	asked.Wait()
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
	klog.InfoS("Members of etcd that answer have changed", "asked", answering, "before", h.client.Endpoints())
	h.client.SetEndpoints(answering...)
	for _, p := range h.probes {
		if p.misses >= maxMisses {
			h.connections.close(address(p.endpoint))
		}
	}
}

func (p *probe) ask(ctx context.Context) {
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

// connectParams bound how long it takes to notice that a member is back.
func connectParams(timeout time.Duration) grpc.DialOption {
	params := grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: timeout}
	params.Backoff.MaxDelay = reconnectPeriod
	return grpc.WithConnectParams(params)
}

// connections are those of a client, by the address of the member. It is safe
// for concurrent use.
type connections struct {
	mu   sync.Mutex
	open map[*connection]string
}

type connection struct {
	net.Conn
	of *connections
}

func newConnections() *connections { return &connections{open: map[*connection]string{}} }

// dial is how gRPC connects by itself, and takes note of it.
func (c *connections) dial(ctx context.Context, address string) (net.Conn, error) {
	network, target := "tcp", address
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		network, target = "unix", strings.TrimPrefix(path, "//")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, target)
	if err != nil {
		return nil, err
	}
	noted := &connection{Conn: conn, of: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[noted] = address
	return noted, nil
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// close closes all connections to an address.
func (c *connections) close(address string) {
	c.mu.Lock()
	var doomed []*connection
	for conn, to := range c.open {
		if to == address {
			doomed = append(doomed, conn)
		}
	}
	c.mu.Unlock()
	for _, conn := range doomed {
		if err := conn.Close(); err != nil {
			klog.V(2).InfoS("Closing a connection to etcd", "address", address, "err", err)
		}
	}
}

// address is what gRPC dials for an endpoint.
func address(endpoint string) string {
	if u, err := url.Parse(endpoint); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		return u.Host
	}
	return endpoint
}
