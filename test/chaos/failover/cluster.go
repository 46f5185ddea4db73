//go:build linux && e2e

package failover

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/portolan-dev/portolan/test/framework"
)

// cluster is replicas on a store, and clients that write to them.
type cluster struct {
	kind     *kind
	network  *network
	store    *store
	replicas []*replica
	history  *history
	answers  *answers
	seen     lastSeen
	// writes numbers versions.
	writes atomic.Int64

	mu         sync.Mutex
	surprising []error
}

const replicas = 3

// etcdVariable names another etcd than the one that the Makefile builds.
const etcdVariable = "PORTOLAN_FAILOVER_ETCD"

func startCluster(t testing.TB, k *kind, replicas int) *cluster {
	t.Helper()
	binary := os.Getenv(etcdVariable)
	if binary == "" {
		binary = framework.Program(t, "etcd")
	}
	c := &cluster{
		kind: k, network: newNetwork(), history: newHistory(), answers: &answers{}, seen: lastSeen{services: map[string]*corev1.Service{}},
	}
	c.store = startStore(t, c.network, newProcesses(t), binary)
	for i := range replicas {
		c.replicas = append(c.replicas, newReplica(t, replicaName(i), k, c.store))
	}
	return c
}

// pick is a replica that a load balancer sends a request to: one that is ready,
// as far as it knows, or any.
func (c *cluster) pick(random *rand.Rand) *replica {
	var ready []*replica
	for _, r := range c.replicas {
		if r.ready.Load() {
			ready = append(ready, r)
		}
	}
	if len(ready) == 0 {
		ready = c.replicas
	}
	return ready[random.IntN(len(ready))]
}

// load lets clients make requests at a steady pace, and a load balancer look
// after replicas, until stop is called. Who waits for an answer makes no other
// request meanwhile. A request that is under way is not canceled.
func (c *cluster) load(t testing.TB, seed uint64, pace time.Duration) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, r := range c.replicas {
		running.Go(func() { r.probe(ctx) })
	}
	free := make(chan *client, clients)
	for id := range clients {
		free <- &client{cluster: c, id: id, random: framework.Random(seed, id)}
	}
	running.Go(func() {
		wait.UntilWithContext(ctx, func(ctx context.Context) {
			select {
			case <-ctx.Done():
			case user := <-free:
				running.Go(func() {
					user.request()
					free <- user
				})
			}
		}, pace)
	})
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// unexpected is an answer that no client should get.
func (c *cluster) unexpected(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.surprising = append(c.surprising, err)
}

// awaitWell returns when everything is up and each replica reads what the
// store holds.
func (c *cluster) awaitWell(t testing.TB) {
	t.Helper()
	c.store.awaitHealthy(t)
	for _, r := range c.replicas {
		r.awaitReady(t)
		await(t, r.name+" reads", func(ctx context.Context) error {
			_, err := r.services().List(ctx, metav1.ListOptions{})
			return err
		})
	}
}
