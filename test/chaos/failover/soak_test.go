//go:build linux && e2e

package failover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/portolan-dev/portolan/test/framework"
)

const (
	soakVariable = "PORTOLAN_SOAK"
	// soakPace leaves time for everything else that runs.
	soakPace = 8 * time.Millisecond
	// round is how long there is load between two measurements. After
	// warmUpRounds the servers count as warm.
	round        = 15 * time.Second
	warmUpRounds = 2
	// watchers is how many short watches run on each replica.
	watchers = 4
	maxWatch = 2 * time.Second
)

// upsets are the faults of a soak, one a round: servers survive them.
var upsets = []string{
	"a follower is killed", "the leader is paused", "the leader is cut off", "nothing", "history is compacted while replicas are paused",
}

// TestSoak loads a cluster with everything that clients do, injects faults, and
// measures what idle servers use in the end: no more than the server that used
// most after the warm-up.
func TestSoak(t *testing.T) {
	total := duration(t, soakVariable, 2*time.Minute)
	c := startCluster(t, &portolan, replicas)
	seed := framework.Seed(t)
	random := framework.Random(seed, clients)
	c.answers.begin("soak")
	began := time.Now()
	var warm level
	for n := 1; n <= warmUpRounds+1 || time.Since(began) < total; n++ {
		c.soak(t, seed+uint64(n), faultNamed(t, upsets[random.IntN(len(upsets))]))
		levels := c.idle(t)
		t.Logf("after %v: %v", time.Since(began).Round(time.Second), levels)
		if n == warmUpRounds {
			warm = highest(levels)
		}
	}
	for _, r := range c.replicas {
		await(t, r.name+" takes no more than when it was warm", func(ctx context.Context) error {
			now, err := r.level(ctx)
			if err != nil {
				return err
			}
			if leaks := now.leaks(warm); leaks != nil {
				return fmt.Errorf("%q", leaks)
			}
			return nil
		})
	}
	c.answers.expectSettled(t)
	c.checkHistory(t)
	c.verify(t)
}

func faultNamed(t testing.TB, name string) fault {
	t.Helper()
	for _, f := range faults {
		if f.name == name {
			return f
		}
	}
	t.Fatalf("there is no fault %q", name)
	return fault{}
}

// soak runs one round of load, with a fault.
func (c *cluster) soak(t testing.TB, seed uint64, f fault) {
	t.Helper()
	stop := c.load(t, seed, soakPace)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for i, r := range c.replicas {
		for n := range watchers {
			random := framework.Random(seed, 1000+i*watchers+n)
			running.Go(func() { wait.UntilWithContext(ctx, func(ctx context.Context) { r.comeAndGo(ctx, random) }, soakPace) })
		}
	}
	last(ctx, round/4)
	heal := f.do(t, c)
	last(ctx, round/4)
	heal()
	last(ctx, round/2)
	cancel()
	running.Wait()
	stop()
}

// comeAndGo watches for a while and creates a slice meanwhile. TestFaults
// checks the events; here the faults cause errors.
func (r *replica) comeAndGo(ctx context.Context, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(random.Int64N(int64(maxWatch))))
	defer cancel()
	events, err := r.services().Watch(ctx, metav1.ListOptions{AllowWatchBookmarks: true})
	if err != nil {
		return
	}
	defer events.Stop()
	slices := r.client.Resource(r.kind.services.GroupVersion().WithResource("endpointslices")).Namespace(namespace)
	slice := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": r.kind.services.GroupVersion().String(), "kind": "EndpointSlice", "addressType": "IPv4",
		"metadata": map[string]any{
			"generateName": "slice-", "labels": map[string]any{"kubernetes.io/service-name": serviceName(random.IntN(names))},
		},
		"endpoints": []any{map[string]any{"addresses": []any{"10.1.2.3"}}},
	}}
	if made, err := slices.Create(ctx, slice, metav1.CreateOptions{}); err == nil && random.IntN(2) == 0 {
		if err := slices.Delete(ctx, made.GetName(), metav1.DeleteOptions{}); err != nil {
			return
		}
	}
	for range events.ResultChan() {
	}
}

// idle empties the store and the watch caches, which would otherwise keep the
// events of the last 75 s or more. It returns what each replica uses when the
// cluster is well.
func (c *cluster) idle(t testing.TB) (levels []level) {
	t.Helper()
	c.awaitWell(t)
	slices := c.replicas[0].client.Resource(c.kind.services.GroupVersion().WithResource("endpointslices")).Namespace(namespace)
	await(t, "no EndpointSlice is left", func(ctx context.Context) error {
		return slices.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	})
	c.removeAll(t)
	c.forgetHistory(t)
	c.awaitWell(t)
	for _, r := range c.replicas {
		await(t, "what "+r.name+" takes is known", func(ctx context.Context) error {
			now, err := r.level(ctx)
			if err == nil {
				levels = append(levels, now)
			}
			return err
		})
	}
	return levels
}

// removeAll deletes all Services as a client, so that the history stays
// complete.
func (c *cluster) removeAll(t testing.TB) {
	t.Helper()
	user := &client{cluster: c, id: clients}
	r := c.replicas[0]
	await(t, "no Service is left", func(context.Context) error {
		if err := user.list(r); err != nil {
			return err
		}
		left := 0
		for i := range names {
			if svc := c.seen.get(serviceName(i)); svc != nil {
				left++
				if err := user.remove(r, svc); err != nil {
					return err
				}
			}
		}
		if left > 0 {
			return fmt.Errorf("%d Services were left", left)
		}
		return nil
	})
}

// level measures what the replica uses.
func (r *replica) level(ctx context.Context) (l level, err error) {
	// It collects twice, because pools survive one collection.
	for range 2 {
		heap, err := r.text(ctx, "/debug/pprof/heap?gc=1&debug=1")
		if err != nil {
			return l, err
		}
		if l.heap, err = figure(heap, "# HeapAlloc ="); err != nil {
			return l, err
		}
	}
	metrics, err := r.text(ctx, "/metrics")
	if err != nil {
		return l, err
	}
	if l.goroutines, err = figure(metrics, "go_goroutines"); err != nil {
		return l, err
	}
	l.files, err = figure(metrics, "process_open_fds")
	return l, err
}
