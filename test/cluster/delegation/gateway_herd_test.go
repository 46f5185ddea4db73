//go:build e2e

package delegation

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	herdClients = 150
	// herdWatches is two for each client.
	herdWatches = 2 * herdClients
	// shortWatch is how long a watch lasts at least that client-go does not take for a
	// failure after which it lists (tools/cache/reflector.go).
	shortWatch = time.Second
)

// herd is many clients with informers of Services and of ConfigMaps.
type herd struct {
	counter   counter
	informers []informers.SharedInformerFactory
}

// balancer passes connections to one ready server after the other.
type balancer struct {
	listener net.Listener
	mu       sync.Mutex
	next     int
	servers  []string
}

func startBalancer(t *testing.T, servers ...*framework.Server) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	b := &balancer{listener: listener}
	b.use(servers...)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go b.join(client)
		}
	}()
	return b
}

// use sets the servers for connections from now on.
func (b *balancer) use(servers ...*framework.Server) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers = nil
	for _, server := range servers {
		b.servers = append(b.servers, strings.TrimPrefix(server.Config.Host, "https://"))
	}
}

func (b *balancer) join(client net.Conn) {
	defer client.Close()
	b.mu.Lock()
	b.next++
	address := b.servers[b.next%len(b.servers)]
	b.mu.Unlock()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	_, _ = io.Copy(client, server)
}

// counter counts lists and the watches that are open.
type counter struct {
	lists, open atomic.Int32
	// last is when the last watch was answered.
	last atomic.Int64
}

// count counts the requests of a client. An initial list is a watch that asks for it, or
// none where the server does not stream it.
func (c *counter) count(inner http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		query := req.URL.Query()
		watch := query.Get("watch") == "true"
		if req.Method == http.MethodGet && (!watch || query.Get("sendInitialEvents") == "true") {
			c.lists.Add(1)
		}
		response, err := inner.RoundTrip(req)
		if err == nil && watch && response.StatusCode == http.StatusOK {
			c.open.Add(1)
			c.last.Store(time.Now().UnixNano())
			response.Body = &counted{ReadCloser: response.Body, end: sync.OnceFunc(func() { c.open.Add(-1) })}
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

// counted is the body of a watch.
type counted struct {
	io.ReadCloser
	end func()
}

// Close implements io.Closer.
func (c *counted) Close() error {
	c.end()
	return c.ReadCloser.Close()
}

// gather starts clients that each have connections of their own.
func gather(t *testing.T, config *rest.Config) *herd {
	t.Helper()
	h := &herd{}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		for _, factory := range h.informers {
			factory.Shutdown()
		}
	})
	for range herdClients {
		own := rest.CopyConfig(config)
		// A dialer of its own gives a client its own connections.
		own.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
		own.Wrap(h.counter.count)
		client, err := kubernetes.NewForConfig(own)
		if err != nil {
			t.Fatal(err)
		}
		factory := informers.NewSharedInformerFactory(client, 0)
		factory.Core().V1().Services().Informer()
		factory.Core().V1().ConfigMaps().Informer()
		factory.Start(ctx.Done())
		h.informers = append(h.informers, factory)
	}
	return h
}

// await waits until all clients have a Service and a ConfigMap.
func (h *herd) await(t *testing.T, name string) {
	t.Helper()
	framework.Eventually(t, "everybody has "+name, func(context.Context) (bool, error) {
		for _, factory := range h.informers {
			if _, err := factory.Core().V1().Services().Lister().Services("default").Get(name); err != nil {
				return false, err
			}
			if _, err := factory.Core().V1().ConfigMaps().Lister().ConfigMaps("default").Get(name); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// settle waits until all watches are open, and old enough to end.
func (h *herd) settle(t *testing.T) {
	t.Helper()
	framework.Eventually(t, "all clients watch", func(context.Context) (bool, error) {
		open, age := h.counter.open.Load(), time.Since(time.Unix(0, h.counter.last.Load()))
		return open == herdWatches && age > 2*shortWatch, fmt.Errorf("%d watches are open, the last for %v", open, age)
	})
}

// TestGatewayHerd has 300 watches at three replicas behind a load balancer. One replica
// after the other stops and comes back. Its clients go on from where they were, and none
// misses a change. Hardly one of them lists.
func TestGatewayHerd(t *testing.T) {
	g := newGround(t)
	store := framework.StartEtcd(t)
	cert, key := g.servingFiles("127.0.0.1")
	replica := func(change func(*options.Options)) *framework.Server {
		return g.serve(func(o *options.Options) {
			yes := true
			framework.On(store)(o)
			o.ServeCore, o.WithControllers = &yes, false
			o.SecureServing.ServerCert.CertKey.CertFile, o.SecureServing.ServerCert.CertKey.KeyFile = cert, key
			// As in artifacts/cluster.
			o.Run.GoawayChance, o.Run.ShutdownSendRetryAfter = 0.001, true
			if change != nil {
				change(o)
			}
		})
	}
	servers := []*framework.Server{replica(nil), replica(nil), replica(nil)}
	b := startBalancer(t, servers...)
	g.bind("cluster-admin", account("default", "root"))
	config := servers[0].As(&rest.Config{BearerToken: g.token("default", "root")})
	config.Host = "https://" + b.listener.Addr().String()
	g.changeBoth(config, "first")
	h := gather(t, config)
	h.await(t, "first")
	for i, name := range []string{"second", "third", "fourth"} {
		h.settle(t)
		before := h.counter.lists.Load()
		b.use(slices.Concat(servers[:i], servers[i+1:])...)
		g.must(servers[i].Stop())
		g.changeBoth(config, name)
		h.await(t, name)
		h.settle(t)
		more := h.counter.lists.Load() - before
		t.Logf("%d lists at the start, and %d more when a replica stopped", before, more)
		if more > herdWatches/10 {
			t.Errorf("%d of %d watches were lists when a replica stopped", more, herdWatches)
		}
		servers[i] = replica(servers[i].Again(t))
		b.use(servers...)
	}
}

// changeBoth creates a Service, which the gateway serves, and a ConfigMap, which it does not.
func (g *ground) changeBoth(config *rest.Config, name string) {
	g.t.Helper()
	client, err := kubernetes.NewForConfig(config)
	g.must(err)
	_, err = client.CoreV1().Services("default").Create(g.t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	g.must(err)
	configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err = client.CoreV1().ConfigMaps("default").Create(g.t.Context(), configMap, metav1.CreateOptions{})
	g.must(err)
}
