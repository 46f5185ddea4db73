package storage

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

const (
	// historyEvents is how many events a watch cache keeps of a resource that changes all
	// the time. The cache doubles its history from 100, so it is a power of two times that.
	historyEvents = 6400
	// snapshotAge is how long a watch cache keeps the snapshots from which it answers the
	// later pages of a list. Clients read these within seconds; later ones come from etcd.
	snapshotAge = 10 * time.Second
	// markInterval is how exactly snapshotAge is observed.
	markInterval = time.Second
)

// bounded bounds what the watch cache above it remembers of the past. The cache keeps the
// events of a window of time, up to 102,400 of them with two objects each, and a snapshot
// for each of them. It drops none before others come: after a burst it holds all of it
// until the resource has changed as often again.
//
// The cache takes the age of an event from its record time, which the store sets if the
// cache asks for it. Here the record times of events are at least so far apart that the
// window holds historyEvents of them. While events come faster than that, record times run
// ahead of the clock, and the metric apiserver_watch_cache_dispatch_duration_seconds, which
// is measured from them, shows too little for its stages total and storage_to_cache.
//
// The cache drops the snapshots before the revision that etcd was compacted at. Here that
// is a revision of snapshotAge ago.
type bounded struct {
	storage.Interface
	window time.Duration
	now    func() time.Time

	mu sync.Mutex
	// recorded is the record time of the last event.
	recorded time.Time
	// marks are revisions of events that are not older than snapshotAge, oldest first.
	marks []mark
	// old is the last revision that is older.
	old int64
}

type mark struct {
	revision int64
	at       time.Time
}

func newBounded(store storage.Interface, window time.Duration) *bounded {
	return &bounded{Interface: store, window: window, now: time.Now}
}

// Watch implements storage.Interface.
func (b *bounded) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	w, err := b.Interface.Watch(ctx, key, opts)
	if err != nil || !opts.RecordTimestamps {
		return w, err
	}
	recorded := &recordedWatch{Interface: w, result: make(chan watch.Event), stopped: make(chan struct{})}
	go recorded.run(b)
	return recorded, nil
}

// recordedWatch is a watch whose events have the record times that the cache gets.
type recordedWatch struct {
	watch.Interface
	result  chan watch.Event
	stopped chan struct{}
	stop    sync.Once
}

// ResultChan implements watch.Interface.
func (w *recordedWatch) ResultChan() <-chan watch.Event { return w.result }

// Stop implements watch.Interface.
func (w *recordedWatch) Stop() {
	w.stop.Do(func() { close(w.stopped) })
	w.Interface.Stop()
}

func (w *recordedWatch) run(b *bounded) {
	defer close(w.result)
	for event := range w.Interface.ResultChan() {
		if timed, ok := event.Object.(storage.WatchEventWithRecordTime); ok {
			event.Object = b.record(timed)
		}
		select {
		case w.result <- event:
		case <-w.stopped:
			return
		}
	}
}

// record returns an event's object with the record time that the cache gets.
func (b *bounded) record(event storage.WatchEventWithRecordTime) runtime.Object {
	revision, err := b.Versioner().ObjectResourceVersion(event)
	if err != nil {
		return event
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if earliest := b.recorded.Add(b.window / historyEvents); event.RecordTime().After(earliest) {
		b.recorded = event.RecordTime()
	} else {
		b.recorded = earliest
	}
	b.advance()
	if at := b.now(); len(b.marks) == 0 || at.Sub(b.marks[len(b.marks)-1].at) >= markInterval {
		b.marks = append(b.marks, mark{int64(revision), at})
	}
	return &recordedEvent{Object: event.Unwrap(), at: b.recorded}
}

// advance forgets marks that are too old. The caller holds the lock.
func (b *bounded) advance() {
	oldest := b.now().Add(-snapshotAge)
	for len(b.marks) > 0 && b.marks[0].at.Before(oldest) {
		b.old, b.marks = b.marks[0].revision, b.marks[1:]
	}
}

// CompactRevision implements storage.Interface. The watch cache drops snapshots of earlier
// revisions. The revision is one of an event, so the snapshot of it remains.
func (b *bounded) CompactRevision() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance()
	return max(b.old, b.Interface.CompactRevision())
}

// recordedEvent is an event's object with its record time.
type recordedEvent struct {
	runtime.Object
	at time.Time
}

var _ storage.WatchEventWithRecordTime = &recordedEvent{}

// RecordTime implements storage.WatchEventWithRecordTime.
func (e *recordedEvent) RecordTime() time.Time { return e.at }

// Unwrap implements storage.WatchEventWithRecordTime.
func (e *recordedEvent) Unwrap() runtime.Object { return e.Object }

// GetObjectMeta implements metav1.ObjectMetaAccessor.
func (e *recordedEvent) GetObjectMeta() metav1.Object {
	accessor, err := meta.Accessor(e.Object)
	if err != nil {
		return nil
	}
	return accessor
}

// DeepCopyObject implements runtime.Object.
func (e *recordedEvent) DeepCopyObject() runtime.Object {
	return &recordedEvent{Object: e.Object.DeepCopyObject(), at: e.at}
}
