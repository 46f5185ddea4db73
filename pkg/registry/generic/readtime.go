package generic

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// fillEvents runs fill on the object of each event, on a copy if the object is shared. The
// watch ends with ctx, Stop or inner.
//
// genericregistry.Store runs its Decorator on watch events too, but without effect on live
// events from the watch cache. These have a wrapper around an object that all watchers
// share, with its cached encodings. A Decorator cannot replace the wrapper, and a change of
// the object would be a race. A store with computed fields therefore watches without its
// Decorator and fills the events here.
//
// A change of a computed field is not an event. A watcher sees it with the next
// event of the object.
func fillEvents(ctx context.Context, inner watch.Interface, fill func(runtime.Object)) watch.Interface {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{inner: inner, fill: fill, cancel: cancel, result: make(chan watch.Event)}
	go w.run(ctx)
	return w
}

type watcher struct {
	inner  watch.Interface
	fill   func(runtime.Object)
	cancel context.CancelFunc
	result chan watch.Event
}

// Stop implements watch.Interface.
func (w *watcher) Stop() {
	w.inner.Stop()
	w.cancel()
}

// ResultChan implements watch.Interface.
func (w *watcher) ResultChan() <-chan watch.Event { return w.result }

func (w *watcher) run(ctx context.Context) {
	defer close(w.result)
	defer w.cancel()
	// Without Stop the inner watch would continue to fill its buffer.
	defer w.inner.Stop()
	for {
		select {
		case event, open := <-w.inner.ResultChan():
			if !open {
				return
			}
			select {
			case w.result <- w.filled(event):
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (w *watcher) filled(event watch.Event) watch.Event {
	switch event.Type {
	case watch.Added, watch.Modified, watch.Deleted:
	default:
		return event
	}
	if shared, ok := event.Object.(runtime.CacheableObject); ok {
		event.Object = shared.GetObject()
	}
	w.fill(event.Object)
	return event
}
