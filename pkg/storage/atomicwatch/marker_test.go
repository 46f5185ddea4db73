package atomicwatch

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

const podPrefix = "/pods/"

func newPod() runtime.Object { return &example.Pod{} }

// fedStore is a store with a watch that the test feeds.
type fedStore struct {
	storage.Interface
	events chan watch.Event
	sizes  *batchSizes
}

func (w *fedStore) Versioner() storage.Versioner { return storage.APIObjectVersioner{} }

func (w *fedStore) Watch(ctx context.Context, _ string, _ storage.ListOptions) (watch.Interface, error) {
	w.sizes, _ = ctx.Value(batchSizesKey{}).(*batchSizes)
	return watch.NewProxyWatcher(w.events), nil
}

func podEvent(name string, revision uint64) watch.Event {
	return watch.Event{
		Type: watch.Added, Object: &example.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: strconv.FormatUint(revision, 10)}},
	}
}

// TestMarkedWatch feeds a watch and records its events, each with the revision of the
// batch that is being applied when the next event is received.
func TestMarkedWatch(t *testing.T) {
	t.Parallel()
	failure := watch.Event{Type: watch.Error, Object: &metav1.Status{}}
	for _, test := range []struct {
		name   string
		etcd   []int64
		events []watch.Event
		want   []string
	}{
		{"no batch", []int64{2, 3}, []watch.Event{podEvent("a", 2), podEvent("b", 3)}, []string{"ADDED a 2", "ADDED b 3"}},
		{
			"batches", []int64{2, 2, 3, 3},
			[]watch.Event{podEvent("a", 2), podEvent("b", 2), podEvent("a", 3), podEvent("b", 3)},
			[]string{"ADDED a 2 in 2", "ADDED b 2 in 2", "BOOKMARK  2", "ADDED a 3 in 3", "ADDED b 3 in 3", "BOOKMARK  3"},
		},
		{
			"between others", []int64{2, 3, 3, 4},
			[]watch.Event{podEvent("a", 2), podEvent("a", 3), podEvent("b", 3), podEvent("a", 4)},
			[]string{"ADDED a 2", "ADDED a 3 in 3", "ADDED b 3 in 3", "BOOKMARK  3", "ADDED a 4"},
		},
		{
			"an event of the batch is filtered out", []int64{2, 2, 2, 3},
			[]watch.Event{podEvent("a", 2), podEvent("b", 2), podEvent("a", 3)},
			[]string{"ADDED a 2 in 2", "ADDED b 2 in 2", "BOOKMARK  2", "ADDED a 3"},
		},
		{"an event of the batch can't be read", []int64{2, 2, 2}, []watch.Event{podEvent("a", 2), podEvent("b", 2), failure}, []string{"ERROR"}},
		{"the watch ends in a batch", []int64{2, 3, 3}, []watch.Event{podEvent("a", 2), podEvent("a", 3)}, []string{"ADDED a 2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			state, inner := &tracker{}, &fedStore{events: make(chan watch.Event, len(test.events))}
			w, err := (&marker{Interface: inner, batches: state, newFunc: newPod}).Watch(t.Context(), podPrefix, storage.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
			inner.sizes.record(etcdEvents(test.etcd...))
			for _, event := range test.events {
				inner.events <- event
			}
			close(inner.events)
			var got []string
			for event := range w.ResultChan() {
				text := string(event.Type)
				if pod, ok := event.Object.(*example.Pod); ok {
					text += " " + pod.Name + " " + pod.ResourceVersion
					// From the bookmark on, the next batch may begin.
					if begun := state.begun.Load(); event.Type != watch.Bookmark && strconv.FormatUint(begun, 10) == pod.ResourceVersion {
						text += fmt.Sprintf(" in %d", begun)
					}
				}
				got = append(got, text)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("received %q, want %q", got, test.want)
			}
			state.wait()
			if begun, applied := state.begun.Load(), state.applied.Load(); begun != applied {
				t.Errorf("a batch is still open: %d has begun, %d is applied", begun, applied)
			}
		})
	}
}

// TestMarkedWatchStopped stops a watch in the middle of a batch.
func TestMarkedWatchStopped(t *testing.T) {
	t.Parallel()
	state, inner := &tracker{}, &fedStore{events: make(chan watch.Event, 2)}
	w, err := (&marker{Interface: inner, batches: state, newFunc: newPod}).Watch(t.Context(), podPrefix, storage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	inner.sizes.record(etcdEvents(2, 2))
	inner.events <- podEvent("a", 2)
	inner.events <- podEvent("b", 2)
	<-w.ResultChan()
	w.Stop()
	w.Stop()
	for range w.ResultChan() {
	}
	state.wait()
}

// pagedStore is a store whose list at revision 7 has two pages.
type pagedStore struct{ fedStore }

func (*pagedStore) GetList(_ context.Context, _ string, opts storage.ListOptions, list runtime.Object) error {
	pods := list.(*example.PodList)
	pods.ResourceVersion = "7"
	if opts.Predicate.Continue == "" {
		pods.Continue = "second"
	}
	return nil
}

// TestFilled fills a cache from a marker. Before the cache has the list and can be read, its
// revision is recorded.
func TestFilled(t *testing.T) {
	t.Parallel()
	state := &tracker{}
	below := &marker{Interface: &pagedStore{}, batches: state, newFunc: newPod}
	opts, list := storage.ListOptions{Predicate: storage.Everything}, &example.PodList{}
	if err := below.GetList(t.Context(), podPrefix, opts, list); err != nil || state.listed != 0 {
		t.Errorf("the first page: listed at %d, %v", state.listed, err)
	}
	opts.Predicate.Continue = list.Continue
	if err := below.GetList(t.Context(), podPrefix, opts, &example.PodList{}); err != nil || state.listed != 7 {
		t.Errorf("the last page: listed at %d, %v", state.listed, err)
	}
}
