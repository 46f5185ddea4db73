package storage

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher/metrics"
	"k8s.io/component-base/metrics/testutil"
)

// compacted is a store that was compacted at a revision.
type compacted struct {
	storage.Interface
	revision int64
}

func (c *compacted) CompactRevision() int64       { return c.revision }
func (c *compacted) Versioner() storage.Versioner { return storage.APIObjectVersioner{} }

func podAt(revision int, at time.Time) storage.WatchEventWithRecordTime {
	return &recordedEvent{&example.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.Itoa(revision)}}, at}
}

func recordTime(t *testing.T, obj runtime.Object) time.Time {
	t.Helper()
	event, ok := obj.(storage.WatchEventWithRecordTime)
	if !ok {
		t.Fatalf("%T has no record time", obj)
	}
	return event.RecordTime()
}

func TestRecordTimes(t *testing.T) {
	t.Parallel()
	const window = 75 * time.Second
	b := newBounded(&compacted{}, window)
	start := time.Now()
	first := recordTime(t, b.record(podAt(1, start)))
	if !first.Equal(start) {
		t.Errorf("the first event is recorded at %v, it was at %v", first, start)
	}
	var last time.Time
	for n := range historyEvents {
		last = recordTime(t, b.record(podAt(2+n, start)))
	}
	if age := last.Sub(first); age != window/historyEvents*historyEvents {
		t.Errorf("after %d events at once the first one is %v old", historyEvents, age)
	}
	later := start.Add(2 * window)
	if got := recordTime(t, b.record(podAt(10_000, later))); !got.Equal(later) {
		t.Errorf("an event after a pause is recorded at %v, it was at %v", got, later)
	}
}

func TestCompactRevision(t *testing.T) {
	t.Parallel()
	store, now := &compacted{revision: 3}, time.Now()
	b := newBounded(store, time.Minute)
	b.now = func() time.Time { return now }
	for n := range 20 {
		b.record(podAt(10+n, now))
		now = now.Add(time.Second)
	}
	// The event of revision 19 was 11 seconds ago, the next one ten.
	if got := b.CompactRevision(); got != 19 {
		t.Errorf("got %d, want the last revision that is older than %v", got, snapshotAge)
	}
	now = now.Add(time.Hour)
	if got := b.CompactRevision(); got != 29 {
		t.Errorf("got %d, want the last revision", got)
	}
	store.revision = 40
	if got := b.CompactRevision(); got != 40 {
		t.Errorf("got %d, want the revision of the store", got)
	}
	if len(b.marks) != 0 {
		t.Errorf("%d marks are left", len(b.marks))
	}
}

// TestHistoryIsBounded writes more often than the watch cache remembers. A watch from
// before that gets a 410, and one from an event that is remembered gets all later ones.
// The test does not run in parallel with others, because it reads the capacity of the
// history.
func TestHistoryIsBounded(t *testing.T) {
	metrics.Register()
	s := cachedStack(t)
	first := s.createPod(t, "one", "first", "x")
	value, err := s.client.Get(t.Context(), podKeys+"one/first")
	if err != nil {
		t.Fatal(err)
	}
	const batch = 100
	var puts []clientv3.Op
	for n := range batch {
		puts = append(puts, clientv3.OpPut(fmt.Sprintf("%stwo/pod-%d", podKeys, n), string(value.Kvs[0].Value)))
	}
	var revisions []int64
	for range 2 * historyEvents / batch {
		response, err := s.client.Txn(t.Context()).Then(puts...).Commit()
		if err != nil {
			t.Fatal(err)
		}
		revisions = append(revisions, response.Header.Revision)
	}
	last := revisions[len(revisions)-1]
	opts := storage.ListOptions{ResourceVersion: strconv.FormatInt(last, 10), Predicate: storage.Everything, Recursive: true}
	if err := s.GetList(t.Context(), podPrefix, opts, &example.PodList{}); err != nil {
		t.Fatal(err)
	}
	capacity, err := testutil.GetGaugeMetricValue(metrics.WatchCacheCapacity.WithLabelValues(pods.Group, pods.Resource))
	if err != nil || capacity != historyEvents {
		t.Errorf("the cache keeps %v events (%v), want %d", capacity, err, historyEvents)
	}
	opts.ResourceVersion = strconv.FormatInt(first, 10)
	if err := firstError(t, s.Interface, opts); !apierrors.IsResourceExpired(err) {
		t.Errorf("from before the history: %v, want a 410", err)
	}
	const remembered = historyEvents / batch / 2
	opts.ResourceVersion = strconv.FormatInt(revisions[len(revisions)-remembered], 10)
	if err := expectEvents(t, s.Interface, opts, remembered*batch); err != nil {
		t.Error(err)
	}
}

func expectEvents(t *testing.T, top storage.Interface, opts storage.ListOptions, want int) error {
	t.Helper()
	w, err := top.Watch(t.Context(), podPrefix, opts)
	if err != nil {
		return err
	}
	defer w.Stop()
	for n := range want {
		event, ok := <-w.ResultChan()
		if !ok || event.Type == watch.Error {
			return fmt.Errorf("after %d events: %v", n, event)
		}
		if _, wrapped := event.Object.(storage.WatchEventWithRecordTime); wrapped {
			return errors.New("a client gets an object with its record time")
		}
	}
	return nil
}
