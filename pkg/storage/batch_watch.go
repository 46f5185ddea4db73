package storage

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
	// watchBuffer is how many events a watch holds for a client, which may still
	// read them when it has stopped the watch. The watch cache's own hold no fewer.
	watchBuffer = 10
	// progressInterval is how often etcd is asked whether a watch has caught up.
	progressInterval = 20 * time.Millisecond
	// replayTimeout bounds how long a revision is read from etcd.
	replayTimeout = 10 * time.Second
)

// Watch implements storage.Interface. A watch from a revision tells of what was
// written after it, and of that revision itself if it was a batch: see batches.
func (s *wholeBatches) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	from, err := startOf(s, opts)
	if err != nil {
		return nil, err
	}
	// The first write to a store has revision 2.
	if from <= 2 || ptr.Deref(opts.SendInitialEvents, false) {
		return s.register(ctx, key, opts)
	}
	w := &wholeWatch{wholeBatches: s, from: from, result: make(chan watch.Event, watchBuffer), stopped: make(chan struct{})}
	if err := w.begin(ctx, key, opts); err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

// wholeWatch is a watch of the watch cache that starts early enough for the
// revision from to be whole.
type wholeWatch struct {
	*wholeBatches
	from  uint64
	inner watch.Interface
	// replay are events of from that the watch cache doesn't have, pending one of
	// the watch cache's that has been received already.
	replay, pending []watch.Event
	result          chan watch.Event
	stopped         chan struct{}
	stop            sync.Once
}

// begin starts the watch of the watch cache. The cache takes a watch from one
// revision before the oldest event that it has. If that event is one of a batch,
// the cache may have dropped others of it already, so it is asked for one more
// revision than is needed.
func (w *wholeWatch) begin(ctx context.Context, key string, opts storage.ListOptions) error {
	early := opts
	early.ResourceVersion = strconv.FormatUint(w.from-2, 10)
	inner, err := w.register(ctx, key, early)
	if err != nil {
		return err
	}
	w.inner = inner
	select {
	case event, open := <-inner.ResultChan():
		if open {
			w.pending = append(w.pending, event)
		}
		if !open || !isExpired(event) || !w.batches.completeSince(w.from) {
			return nil
		}
	default:
		return nil
	}
	// The cache was filled at from, or right before, and has all that came later.
	if !w.batches.single(w.from) {
		switch w.replay, err = w.read(ctx, key, opts, w.from); {
		case apierrors.IsResourceExpired(err):
			// The answer of the cache stands.
			return nil
		case err != nil:
			return err
		}
	}
	inner.Stop()
	w.pending = nil
	w.inner, err = w.register(ctx, key, opts)
	return err
}

func isExpired(event watch.Event) bool {
	return event.Type == watch.Error && apierrors.IsResourceExpired(apierrors.FromObject(event.Object))
}

// read returns the events of a batch from etcd, and none for a revision that was
// no batch.
func (s *wholeBatches) read(ctx context.Context, key string, opts storage.ListOptions, revision uint64) ([]watch.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	switch current, err := s.uncached.GetCurrentResourceVersion(ctx); {
	case err != nil:
		return nil, err
	case revision > current:
		return nil, nil
	}
	ctx, sizes := withBatchSizes(ownStream(ctx))
	opts.ResourceVersion, opts.ProgressNotify = strconv.FormatUint(revision-1, 10), true
	w, err := s.uncached.Watch(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	// etcd tells of its progress once a watch has been sent all there was.
	ask := time.NewTicker(progressInterval)
	defer ask.Stop()
	var events []watch.Event
	for {
		select {
		case event, open := <-w.ResultChan():
			switch {
			case !open:
				return nil, unread(revision)
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
			return nil, unread(revision)
		}
	}
}

// unread asks the client to come back: etcd was too slow, or ended the watch.
func unread(revision uint64) error {
	return apierrors.NewTimeoutError(fmt.Sprintf("etcd did not tell what was written at resource version %d; try again", revision), 1)
}

// ownStream keeps watches apart from those of watch caches, which share a stream
// to etcd. etcd tells a stream of no progress while one of its watches starts at a
// revision that is still to come, as those of idle caches do.
func ownStream(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "stream", "replay")
}

// ResultChan implements watch.Interface.
func (w *wholeWatch) ResultChan() <-chan watch.Event { return w.result }

// Stop implements watch.Interface.
func (w *wholeWatch) Stop() {
	w.stop.Do(func() { close(w.stopped) })
	w.inner.Stop()
}

func (w *wholeWatch) run() {
	defer close(w.result)
	for _, event := range w.replay {
		if !w.send(event) {
			return
		}
	}
	for _, event := range w.pending {
		if w.tells(event) && !w.send(event) {
			return
		}
	}
	for event := range w.inner.ResultChan() {
		if w.tells(event) && !w.send(event) {
			return
		}
	}
}

// tells says whether the client is to be told of an event of the watch cache.
func (w *wholeWatch) tells(event watch.Event) bool {
	if event.Type == watch.Error {
		return true
	}
	revision := revisionOf(w.Interface, event)
	return revision > w.from || revision == w.from && (event.Type == watch.Bookmark || w.batches.maybeBatch(revision))
}

func (w *wholeWatch) send(event watch.Event) bool {
	select {
	case w.result <- event:
		return true
	case <-w.stopped:
		return false
	}
}
