//go:build linux && e2e

package failover

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/portolan-dev/portolan/test/framework"
)

// watches has a watch through each replica.
type watches struct {
	cluster *cluster
	all     []*watcher
	stop    func()
}

// watcher follows the Services through one replica. After an interruption it
// continues at its resource version, and lists again if that has expired.
type watcher struct {
	cluster *cluster
	replica *replica

	mu     sync.Mutex
	stream stream
	// lists is how often it listed.
	lists int
}

// watch starts a watch through each replica. They run until compare, or the end
// of the test.
func (c *cluster) watch(t testing.TB) *watches {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watches{cluster: c}
	var running sync.WaitGroup
	for _, r := range c.replicas {
		each := &watcher{cluster: c, replica: r}
		w.all = append(w.all, each)
		running.Go(func() { each.run(ctx) })
	}
	w.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(w.stop)
	return w
}

func (w *watcher) run(ctx context.Context) {
	expired := true
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		if expired {
			if w.list(ctx) != nil {
				return
			}
			expired = false
		}
		err := w.follow(ctx)
		expired = apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
	}, retryPeriod)
}

func (w *watcher) list(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	found, err := w.replica.services().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	revision, err := strconv.ParseUint(found.GetResourceVersion(), 10, 64)
	services := map[string]seenService{}
	for i := range found.Items {
		services[found.Items[i].GetName()] = w.see(&found.Items[i])
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lists++
	w.stream.list(revision, services)
	return err
}

// follow watches until the watch ends, and returns the error if there is one.
func (w *watcher) follow(ctx context.Context) error {
	events, err := w.replica.services().Watch(ctx, metav1.ListOptions{
		ResourceVersion: strconv.FormatUint(w.stream.revision, 10), AllowWatchBookmarks: true})
	if err != nil {
		return err
	}
	defer events.Stop()
	for event := range events.ResultChan() {
		obj, ok := event.Object.(*unstructured.Unstructured)
		if event.Type == watch.Error || !ok {
			return apierrors.FromObject(event.Object)
		}
		revision, err := strconv.ParseUint(obj.GetResourceVersion(), 10, 64)
		if err != nil {
			w.cluster.unexpected(fmt.Errorf("an event of %s: %w", obj.GetName(), err))
			continue
		}
		w.take(event.Type, revision, obj)
	}
	return nil
}

func (w *watcher) take(what watch.EventType, revision uint64, obj *unstructured.Unstructured) {
	svc := w.see(obj)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch what {
	case watch.Bookmark:
		w.stream.revision = max(w.stream.revision, revision)
	case watch.Deleted:
		w.stream.event(revision, false, obj.GetName(), seenService{uid: svc.uid})
	default:
		w.stream.event(revision, what == watch.Added, obj.GetName(), svc)
	}
}

// see describes a Service, and adds it to the history.
func (w *watcher) see(obj *unstructured.Unstructured) seenService {
	svc, err := serviceOf(obj)
	if err != nil {
		w.cluster.unexpected(err)
	}
	seen := seenService{version: versionOf(svc), uid: string(svc.UID), values: valuesOf(svc)}
	w.cluster.history.see(seen.version, seen.uid, seen.values)
	return seen
}

// compare waits until each watch has the state of the store, ends the watches,
// and checks all their events.
func (w *watches) compare(t testing.TB) {
	t.Helper()
	want := map[string]string{}
	for _, svc := range framework.Read(t, w.cluster.store.client).Services {
		want[svc.Name] = svc.Labels[versionLabel]
	}
	for _, each := range w.all {
		await(t, "the watch through "+each.replica.name+" has what is stored", func(context.Context) error { return each.has(want) })
	}
	w.stop()
	for _, each := range w.all {
		name, stream := each.replica.name, &each.stream
		t.Logf("the watch through %s has %d events and has listed %d times", name, len(stream.steps), each.lists)
		for _, wrong := range stream.wrong {
			t.Errorf("the watch through %s: %s", name, wrong)
		}
		for _, step := range stream.unwritten(w.cluster.history) {
			t.Errorf("the watch through %s: no client changed %s from %q to %q", name, step.name, step.from, step.to)
		}
		if len(stream.steps) == 0 {
			t.Errorf("the watch through %s has no events", name)
		}
	}
}

func (w *watcher) has(want map[string]string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := len(w.stream.services); got != len(want) {
		return fmt.Errorf("it has %d Services of %d", got, len(want))
	}
	var wrong []error
	for name, svc := range w.stream.services {
		if want[name] != string(svc.version) {
			wrong = append(wrong, fmt.Errorf("it has %s in version %q, the store in %q", name, svc.version, want[name]))
		}
	}
	return errors.Join(wrong...)
}
