//go:build e2e

package aggregated

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/informers/externalversions"
	"github.com/portolan-dev/portolan/test/framework"
)

// writer makes, changes and deletes Services one after the other until it is
// stopped. What an interruption leaves undone it does again.
type writer struct {
	g         *fixture
	namespace string
	done      atomic.Int64
	// failed are the requests that didn't get the answer that they were to get.
	failed atomic.Int64
	last   atomic.Pointer[error]
	stop   func()
}

func startWriter(t *testing.T, g *fixture, namespace string) *writer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &writer{g: g, namespace: namespace}
	var running sync.WaitGroup
	running.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			w.write(ctx, i)
		}
	})
	w.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(w.stop)
	return w
}

// write is the life of a Service: every third is deleted.
func (w *writer) write(ctx context.Context, i int) {
	services := w.g.portolan.PortolanV1().Services(w.namespace)
	name := fmt.Sprintf("web-%d", i)
	w.until(ctx, func() error {
		_, err := services.Create(ctx, newService(name), metav1.CreateOptions{})
		return err
	}, apierrors.IsAlreadyExists)
	w.until(ctx, func() error {
		_, err := services.Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"labels":{"written":"twice"}}}`), metav1.PatchOptions{})
		return err
	}, nil)
	if i%3 == 0 {
		w.until(ctx, func() error { return services.Delete(ctx, name, metav1.DeleteOptions{}) }, apierrors.IsNotFound)
	}
}

// until repeats a request until it is carried out, or was before.
func (w *writer) until(ctx context.Context, request func() error, before func(error) bool) {
	interrupted := false
	for ctx.Err() == nil {
		err := request()
		if err == nil || interrupted && before != nil && before(err) {
			w.done.Add(1)
			return
		}
		if ctx.Err() == nil {
			interrupted = true
			w.failed.Add(1)
			w.last.Store(&err)
			// A server that is away answers nothing at once.
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

// goesOn wants requests to be carried out from here on, so many in a row.
func (w *writer) goesOn(t *testing.T, requests int64) {
	t.Helper()
	done, failed := w.done.Load(), w.failed.Load()
	framework.Eventually(t, fmt.Sprintf("%d requests in a row", requests), func(context.Context) (bool, error) {
		if now := w.failed.Load(); now != failed {
			done, failed = w.done.Load(), now
		}
		if last := w.last.Load(); last != nil {
			return w.done.Load()-done >= requests, *last
		}
		return w.done.Load()-done >= requests, nil
	})
}

// follower is an informer's view, and what its handlers received.
type follower struct {
	store cache.Store
	mu    sync.Mutex
	heard map[string]string
}

func follow(t *testing.T, g *fixture, namespace string) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	factory := externalversions.NewSharedInformerFactoryWithOptions(g.portolan, 0, externalversions.WithNamespace(namespace))
	informer := factory.Portolan().V1().Services().Informer()
	f := &follower{store: informer.GetStore(), heard: map[string]string{}}
	set := func(object any) {
		f.mu.Lock()
		defer f.mu.Unlock()
		svc := object.(*v1.Service)
		f.heard[svc.Name] = svc.ResourceVersion
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, object any) { set(object) },
		DeleteFunc: func(object any) {
			key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
			if err != nil {
				t.Error(err)
			}
			_, name, err := cache.SplitMetaNamespaceKey(key)
			if err != nil {
				t.Error(err)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			delete(f.heard, name)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	t.Cleanup(func() {
		cancel()
		factory.Shutdown()
	})
	return f
}

// missesNothing wants the informer to have all that there is, as it is, and its
// handlers to have received it.
func (f *follower) missesNothing(t *testing.T, g *fixture, namespace string) {
	t.Helper()
	framework.Eventually(t, "the informer is up to date", func(ctx context.Context) (bool, error) {
		list, err := g.portolan.PortolanV1().Services(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		want, stored := map[string]string{}, map[string]string{}
		for _, svc := range list.Items {
			want[svc.Name] = svc.ResourceVersion
		}
		for _, object := range f.store.List() {
			svc := object.(*v1.Service)
			stored[svc.Name] = svc.ResourceVersion
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		return maps.Equal(want, stored) && maps.Equal(want, f.heard),
			fmt.Errorf("there are %d Services, the informer has %d and its handlers %d", len(want), len(stored), len(f.heard))
	})
}

// row is how many requests in a row say that requests go on.
const row = 30

// testRestarts kills a replica of three, and then all, while Services are
// written and informers run, and while the cluster deletes what has Services.
func testRestarts(t *testing.T, g *fixture) {
	ns := g.newNamespace(t, "restarts")
	informer := follow(t, g, ns)
	doomed := g.newDoomed(t)
	w := startWriter(t, g, ns)
	w.goesOn(t, row)
	framework.NewKubectl(t, g.kubeconfig).Run("scale", "deployment", deployment, "-n", namespace, "--replicas=3")
	g.awaitReady(t)
	replicas := g.kubelet.running()
	if len(replicas) != 3 {
		t.Fatalf("%d replicas run", len(replicas))
	}

	one := slices.Collect(maps.Values(replicas))[0]
	one.kill()
	w.goesOn(t, row)
	mustStart(t, one)
	g.awaitReady(t)

	for _, each := range replicas {
		each.kill()
	}
	g.awaitAvailable(t, "False")
	doomed.remove(t, g)
	for _, each := range replicas {
		mustStart(t, each)
	}
	g.awaitAvailable(t, "True")
	w.goesOn(t, row)
	g.awaitReady(t)
	w.stop()
	informer.missesNothing(t, g, ns)
	g.awaitFollowed(t, ns)
	doomed.awaitGone(t, g)
}

// testClusterRestart kills kube-apiserver while Services are written, informers
// run, and Portolan needs the cluster to authenticate users.
func testClusterRestart(t *testing.T, g *fixture) {
	ns := g.newNamespace(t, "cluster-restart")
	informer := follow(t, g, ns)
	w := startWriter(t, g, ns)
	w.goesOn(t, row)
	g.restartKube(t)
	w.goesOn(t, row)
	g.awaitAvailable(t, "True")
	w.stop()
	informer.missesNothing(t, g, ns)
	g.awaitFollowed(t, ns)
}

// testRollout replaces the replicas one by one, as an upgrade does, without a
// request that fails.
func testRollout(t *testing.T, g *fixture) {
	ns := g.newNamespace(t, "rollout")
	informer := follow(t, g, ns)
	w := startWriter(t, g, ns)
	w.goesOn(t, row)
	failed := w.failed.Load()
	before := g.kubelet.running()
	k := framework.NewKubectl(t, g.kubeconfig).With("-n", namespace)
	k.Run("rollout", "restart", "deployment", deployment)
	k.Run("rollout", "status", "deployment", deployment, "--timeout="+(2*time.Minute).String())
	// The old ones have a last while in which they serve.
	framework.Eventually(t, "the old replicas are gone", func(ctx context.Context) (bool, error) {
		pods, err := g.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: component})
		if err != nil {
			return false, err
		}
		for _, pod := range pods.Items {
			if before[pod.Name] != nil {
				return false, fmt.Errorf("%s is there", pod.Name)
			}
		}
		return true, nil
	})
	if now := w.failed.Load(); now != failed {
		t.Errorf("%d of %d requests failed, the last with: %v", now-failed, w.done.Load(), *w.last.Load())
	}
	w.stop()
	informer.missesNothing(t, g, ns)
	g.awaitFollowed(t, ns)
}

func mustStart(t *testing.T, r *replica) {
	t.Helper()
	if err := r.up(); err != nil {
		t.Fatal(err)
	}
}
