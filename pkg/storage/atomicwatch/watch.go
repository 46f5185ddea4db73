package atomicwatch

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/ptr"
)

const (
	// watchBuffer is how many events a watch buffers for its client, which may still read
	// them after it has stopped the watch. The cache's own watches buffer at least as many.
	watchBuffer = 10
	// progressInterval is the interval of the progress requests to etcd during a replay.
	progressInterval = 20 * time.Millisecond
	// replayTimeout bounds the time for reading a revision from etcd.
	replayTimeout = 10 * time.Second
)

// Watch implements storage.Interface. A watch from a revision delivers later events, and
// those of the revision itself if it was a batch.
func (s *reads) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	from, err := s.Versioner().ParseResourceVersion(opts.ResourceVersion)
	// The cache rejects a malformed resource version. The first write to a store has
	// revision 2.
	if err != nil || from <= 2 || ptr.Deref(opts.SendInitialEvents, false) {
		return s.register(ctx, key, opts)
	}
	w := &atomicWatch{reads: s, from: from, result: make(chan watch.Event, watchBuffer), stopped: make(chan struct{})}
	expired, err := w.startEarly(ctx, key, opts)
	if err == nil && expired && s.batches.completeSince(from) {
		err = w.startReplay(ctx, key, opts)
	}
	if err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

// atomicWatch is a watch of the cache that starts early enough to deliver all of the
// batch at revision from.
type atomicWatch struct {
	*reads
	from  uint64
	inner watch.Interface
	// replay are events of revision from that the cache doesn't have. pending has the event
	// that was received from the cache already, if any.
	replay, pending []watch.Event
	result          chan watch.Event
	stopped         chan struct{}
	stop            sync.Once
}

// startEarly starts the watch of the cache early enough to deliver the batch at revision
// from. It reports expired if the cache is too young for that, and answers with a 410,
// which is then pending.
//
// The cache accepts a watch that starts at most one revision before its oldest event. If
// that event is part of a batch, the cache may have dropped other parts already, so this
// watch starts one revision earlier than needed.
func (w *atomicWatch) startEarly(ctx context.Context, key string, opts storage.ListOptions) (expired bool, err error) {
	opts.ResourceVersion = strconv.FormatUint(w.from-2, 10)
	if w.inner, err = w.register(ctx, key, opts); err != nil {
		return false, err
	}
	// The cache has its 410 ready at once.
	select {
	case event, open := <-w.inner.ResultChan():
		if !open {
			return false, nil
		}
		w.pending = []watch.Event{event}
		return isExpired(event), nil
	default:
		return false, nil
	}
}

// startReplay replaces a watch that started too early for the cache. The cache was filled
// at revision from, or right before, and has all later events: the watch of the cache
// starts at from, and the batch at from, if it was one, is read from etcd. If etcd has
// compacted it, the client gets the cache's 410.
func (w *atomicWatch) startReplay(ctx context.Context, key string, opts storage.ListOptions) error {
	var replay []watch.Event
	if !w.batches.isSingle(w.from) {
		var err error
		if replay, err = w.read(ctx, key, opts, w.from); apierrors.IsResourceExpired(err) {
			return nil
		} else if err != nil {
			return err
		}
	}
	w.inner.Stop()
	w.replay, w.pending = replay, nil
	var err error
	w.inner, err = w.register(ctx, key, opts)
	return err
}

func isExpired(event watch.Event) bool {
	return event.Type == watch.Error && apierrors.IsResourceExpired(apierrors.FromObject(event.Object))
}

// read returns the events of a batch from etcd, and none for a revision that is no batch.
func (s *reads) read(ctx context.Context, key string, opts storage.ListOptions, revision uint64) ([]watch.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	switch current, err := s.uncached.GetCurrentResourceVersion(ctx); {
	case err != nil:
		return nil, err
	case revision > current:
		return nil, nil
	}
	ctx, sizes := withBatchSizes(alone(ctx))
	opts.ResourceVersion, opts.ProgressNotify = strconv.FormatUint(revision-1, 10), true
	w, err := s.uncached.Watch(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	// etcd answers a progress request once the watch has caught up.
	ask := time.NewTicker(progressInterval)
	defer ask.Stop()
	var events []watch.Event
	for {
		select {
		case event, open := <-w.ResultChan():
			switch {
			case !open:
				return nil, notRead(revision)
			case event.Type == watch.Error:
				return nil, apierrors.FromObject(event.Object)
			case event.Type != watch.Bookmark && revisionOf(s.uncached, event) == revision:
				events = append(events, event)
				continue
			}
			if sizes.take(revision) == 0 {
				return nil, nil
			}
			return events, nil
		case <-ask.C:
			if err := s.uncached.RequestWatchProgress(ctx); err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, notRead(revision)
		}
	}
}

// notRead asks the client to retry after etcd was too slow or ended the watch.
func notRead(revision uint64) error {
	return apierrors.NewTimeoutError(fmt.Sprintf("etcd did not tell what was written at resource version %d; try again", revision), 1)
}

// alone keeps the progress that a replay asks for from the other watches of the store,
// which do not expect any. The store asks for that of all watches with equal metadata.
func alone(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "stream", "replay")
}

// ResultChan implements watch.Interface.
func (w *atomicWatch) ResultChan() <-chan watch.Event { return w.result }

// Stop implements watch.Interface.
func (w *atomicWatch) Stop() {
	w.stop.Do(func() { close(w.stopped) })
	w.inner.Stop()
}

func (w *atomicWatch) run() {
	defer close(w.result)
	for _, event := range w.replay {
		if !w.send(event) {
			return
		}
	}
	for _, event := range w.pending {
		if w.wanted(event) && !w.send(event) {
			return
		}
	}
	for event := range w.inner.ResultChan() {
		if w.wanted(event) && !w.send(event) {
			return
		}
	}
}

// wanted reports whether the client gets an event of the cache.
func (w *atomicWatch) wanted(event watch.Event) bool {
	if event.Type == watch.Error {
		return true
	}
	revision := revisionOf(w.Interface, event)
	return revision > w.from || revision == w.from && (event.Type == watch.Bookmark || w.batches.mayBeBatch(revision))
}

func (w *atomicWatch) send(event watch.Event) bool {
	select {
	case w.result <- event:
		return true
	case <-w.stopped:
		return false
	}
}
