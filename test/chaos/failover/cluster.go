//go:build linux && e2e

package failover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
	// writes numbers the versions.
	writes atomic.Int64

	mu         sync.Mutex
	surprising []error
}

const replicas = 3

// etcdVariable names the etcd program, instead of the one in .bin.
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
	if k.claims {
		c.createPool(t)
	}
	return c
}

// createPool creates a pool of load-balancer addresses. It returns when each
// replica allocates from it.
func (c *cluster) createPool(t testing.TB) {
	t.Helper()
	group := c.kind.services.GroupVersion()
	pool := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": group.String(), "kind": "LoadBalancerPool", "metadata": map[string]any{"name": "public"},
		"spec": map[string]any{"ranges": []any{balancerAddress(0) + "-" + balancerAddress(addresses-1)}},
	}}
	pools := c.replicas[0].client.Resource(group.WithResource("loadbalancerpools"))
	if _, err := pools.Create(t.Context(), pool, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	probe := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "probe"}}
	probe.Spec.Type, probe.Spec.Ports = corev1.ServiceTypeLoadBalancer, []corev1.ServicePort{{Port: 80}}
	user := &client{cluster: c}
	for _, r := range c.replicas {
		await(t, r.name+" has the pool", func(ctx context.Context) error {
			made, err := r.services().Create(ctx, user.label(probe, ""), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err != nil {
				return err
			}
			if svc, err := serviceOf(made); err != nil || len(svc.Status.LoadBalancer.Ingress) == 0 {
				return fmt.Errorf("the probe has no address, error %w", err)
			}
			return nil
		})
	}
}

// pick chooses a replica as a load balancer does: one that was ready at the
// last probe, or any if none was.
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

// load starts clients that make requests at a steady pace, and the probes of a
// load balancer. A client that waits for an answer makes no other request. Stop
// waits for requests under way instead of canceling them.
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

// unexpected records an answer that no client should get.
func (c *cluster) unexpected(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.surprising = append(c.surprising, err)
}

// awaitWell returns when all processes are up and each replica can read from
// the store.
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
