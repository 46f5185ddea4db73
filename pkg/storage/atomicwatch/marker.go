package atomicwatch

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// marker is the layer from which a watch cache is filled, with a list and then a watch. It
// passes everything through, but delivers the events of a batch together, and marks the
// batch as being applied meanwhile.
type marker struct {
	storage.Interface
	batches *tracker
	newFunc func() runtime.Object
}

// GetList implements storage.Interface. It reads a list, or the next page of one.
func (m *marker) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	if err := m.Interface.GetList(ctx, key, opts, list); err != nil {
		return err
	}
	accessor, err := meta.ListAccessor(list)
	if err != nil || accessor.GetContinue() != "" {
		return err
	}
	return m.filledAt(accessor.GetResourceVersion())
}

// Watch implements storage.Interface.
func (m *marker) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	ctx, sizes := withBatchSizes(ctx)
	inner, err := m.Interface.Watch(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	if err := m.filledAt(opts.ResourceVersion); err != nil {
		inner.Stop()
		return nil, err
	}
	w := &markedWatch{marker: m, inner: inner, sizes: sizes, result: make(chan watch.Event), stopped: make(chan struct{})}
	go w.run()
	return w, nil
}

// filledAt records that the cache has what there was at a resource version, and no events
// up to it.
func (m *marker) filledAt(resourceVersion string) error {
	revision, err := m.Versioner().ParseResourceVersion(resourceVersion)
	if err == nil {
		m.batches.filled(revision)
	}
	return err
}

type markedWatch struct {
	*marker
	inner watch.Interface
	sizes *batchSizes
	// result has no buffer: when the cache receives an event, it has applied the previous
	// one.
	result  chan watch.Event
	stopped chan struct{}
	stop    sync.Once
}

// ResultChan implements watch.Interface.
func (w *markedWatch) ResultChan() <-chan watch.Event { return w.result }

// Stop implements watch.Interface.
func (w *markedWatch) Stop() {
	w.stop.Do(func() { close(w.stopped) })
	w.inner.Stop()
}

// run collects each batch before it delivers it, so that the cache applies it in a short
// time. A batch that an error cuts off is dropped: the reflector may watch again from the
// last revision that it has seen, and would miss the rest of the batch.
func (w *markedWatch) run() {
	defer close(w.result)
	var batch []watch.Event
	var of uint64
	var missing int
	for event := range w.inner.ResultChan() {
		revision := revisionOf(w.Interface, event)
		if batch != nil && revision != of {
			if event.Type != watch.Error && !w.sendBatch(of, batch) {
				return
			}
			batch = nil
		}
		if batch == nil {
			of, missing = revision, w.sizes.take(revision)
		}
		if missing == 0 {
			w.track(event, revision)
			if !w.send(event) {
				return
			}
			continue
		}
		batch = append(batch, event)
		if missing--; missing == 0 {
			if !w.sendBatch(of, batch) {
				return
			}
			batch = nil
		}
	}
}

// track updates the tracker before the cache gets an event.
func (w *markedWatch) track(event watch.Event, revision uint64) {
	if event.Type != watch.Error {
		w.batches.delivered(revision, event.Type == watch.Bookmark)
	}
}

// revisionOf returns the resource version of an event's object, 0 for an error.
func revisionOf(store storage.Interface, event watch.Event) uint64 {
	if event.Type == watch.Error {
		return 0
	}
	revision, err := store.Versioner().ObjectResourceVersion(event.Object)
	if err != nil {
		return 0
	}
	return revision
}

func (w *markedWatch) send(event watch.Event) bool {
	select {
	case w.result <- event:
		return true
	case <-w.stopped:
		return false
	}
}

// sendBatch delivers a batch and a bookmark. When the cache's reflector receives the
// bookmark, it has applied the last event.
func (w *markedWatch) sendBatch(revision uint64, batch []watch.Event) (sent bool) {
	bookmark := w.newFunc()
	if err := w.Versioner().UpdateObject(bookmark, revision); err != nil {
		return false
	}
	w.batches.apply(revision, func() {
		for _, event := range append(batch, watch.Event{Type: watch.Bookmark, Object: bookmark}) {
			w.track(event, revision)
			if sent = w.send(event); !sent {
				return
			}
		}
	})
	return sent
}
