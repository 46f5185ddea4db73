package storage

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/ptr"
)

func etcdEvents(revisions ...int64) []*clientv3.Event {
	var events []*clientv3.Event
	for _, revision := range revisions {
		events = append(events, &clientv3.Event{Kv: &mvccpb.KeyValue{ModRevision: revision}})
	}
	return events
}

func TestBatchSizes(t *testing.T) {
	t.Parallel()
	_, sizes := withBatchSizes(t.Context())
	sizes.record(nil)
	sizes.record(etcdEvents(2))
	sizes.record(etcdEvents(3, 3, 4, 5, 5, 5))
	sizes.record(etcdEvents(6, 6))
	if want := map[uint64]int{3: 2, 5: 3, 6: 2}; !maps.Equal(sizes.sizes, want) {
		t.Errorf("sizes are %v, want %v", sizes.sizes, want)
	}
	for _, want := range []int{3, 0} {
		if n := sizes.take(5); n != want {
			t.Errorf("took %d, want %d", n, want)
		}
	}
}

// watched is a store with a watch that the test feeds.
type watched struct {
	storage.Interface
	events chan watch.Event
	sizes  *batchSizes
}

func (w *watched) Versioner() storage.Versioner { return storage.APIObjectVersioner{} }

func (w *watched) Watch(ctx context.Context, _ string, _ storage.ListOptions) (watch.Interface, error) {
	w.sizes, _ = ctx.Value(batchSizesKey{}).(*batchSizes)
	return watch.NewProxyWatcher(w.events), nil
}

func podEvent(name string, revision uint64) watch.Event {
	return watch.Event{
		Type: watch.Added, Object: &example.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: strconv.FormatUint(revision, 10)}},
	}
}

// TestMarkedWatch feeds a watch and writes down what comes out, with the revision
// of the batch that is being applied when the next event is received.
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
			state, inner := &batches{}, &watched{events: make(chan watch.Event, len(test.events))}
			w, err := (&batchMarker{Interface: inner, batches: state, newFunc: newPod}).Watch(t.Context(), podPrefix, storage.ListOptions{})
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
	state, inner := &batches{}, &watched{events: make(chan watch.Event, 2)}
	w, err := (&batchMarker{Interface: inner, batches: state, newFunc: newPod}).Watch(t.Context(), podPrefix, storage.ListOptions{})
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

// TestWholeWatch has the watch cache tell of more than a client asked for.
func TestWholeWatch(t *testing.T) {
	t.Parallel()
	failure := watch.Event{Type: watch.Error, Object: &metav1.Status{}}
	bookmark := func(revision uint64) watch.Event {
		event := podEvent("", revision)
		event.Type = watch.Bookmark
		return event
	}
	events := []watch.Event{bookmark(2), podEvent("a", 3), podEvent("b", 4), podEvent("c", 4), bookmark(4), podEvent("a", 5), podEvent("a", 6),
		podEvent("b", 6), failure}
	state := &batches{}
	state.fill(1)
	for _, revision := range []uint64{4, 6} {
		state.apply(revision, func() {})
	}
	state.tell(9, true)
	for from, skipped := range map[uint64]int{
		3: 2, // not a batch: nothing of it
		4: 2, // a batch: all of it
		5: 6,
		6: 6,
	} {
		t.Run(fmt.Sprint(from), func(t *testing.T) {
			t.Parallel()
			inner := make(chan watch.Event, len(events))
			for _, event := range events {
				inner <- event
			}
			close(inner)
			whole := &wholeBatches{Interface: &watched{events: inner}, batches: state, newFunc: newPod}
			w, err := whole.Watch(t.Context(), podPrefix, storage.ListOptions{ResourceVersion: fmt.Sprint(from)})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
			for _, want := range events[skipped:] {
				if got := <-w.ResultChan(); got != want {
					t.Errorf("received %v, want %v", got, want)
				}
			}
			if last, open := <-w.ResultChan(); open {
				t.Errorf("ended with %v", last)
			}
		})
	}
}

func TestMaybeBatch(t *testing.T) {
	t.Parallel()
	state := &batches{}
	state.fill(3)
	check := func(batch, single string) {
		t.Helper()
		var gotBatch, gotSingle string
		for revision := range uint64(10) {
			if state.maybeBatch(revision) {
				gotBatch += fmt.Sprint(revision)
			}
			if state.single(revision) {
				gotSingle += fmt.Sprint(revision)
			}
		}
		if gotBatch != batch || gotSingle != single {
			t.Errorf("maybe batches %s, want %s; certainly none %s, want %s", gotBatch, batch, gotSingle, single)
		}
	}
	check("0123", "")
	state.tell(4, false)
	check("0123", "4")
	state.apply(6, func() { state.tell(6, false); state.tell(6, false) })
	check("01236", "45")
	state.tell(8, true)
	check("01236", "4578")
	for revision, want := range map[uint64]bool{2: false, 3: true, 4: true, 5: false} {
		if got := state.completeSince(revision); got != want {
			t.Errorf("completeSince(%d) is %v", revision, got)
		}
	}
	for range minCacheEvents {
		state.tell(9, false)
	}
	if state.completeSince(3) {
		t.Error("the watch cache may have dropped events")
	}
	state.fill(9)
	check("0123456789", "")
	for revision := range uint64(maxRevisions) {
		state.apply(10+2*revision, func() {})
	}
	state.tell(10+2*maxRevisions, true)
	for revision, want := range map[uint64]bool{11: true, 9 + maxRevisions: false, 10 + maxRevisions: true, 8 + 2*maxRevisions: true,
		9 + 2*maxRevisions: false} {
		if got := state.maybeBatch(revision); got != want {
			t.Errorf("maybeBatch(%d) is %v", revision, got)
		}
	}
}

// firstReads tells of each read of the watch cache that has come back.
type firstReads struct {
	storage.Interface
	done chan struct{}
}

func (f firstReads) tell() {
	select {
	case f.done <- struct{}{}:
	default:
	}
}

func (f firstReads) Get(ctx context.Context, key string, opts storage.GetOptions, obj runtime.Object) error {
	defer f.tell()
	return f.Interface.Get(ctx, key, opts, obj)
}

func (f firstReads) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	defer f.tell()
	return f.Interface.GetList(ctx, key, opts, list)
}

func (f firstReads) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	defer f.tell()
	return f.Interface.Watch(ctx, key, opts)
}

// TestReadsInABatch stops the watch cache in the middle of a batch of deletions,
// reads it, and lets it go on.
func TestReadsInABatch(t *testing.T) {
	t.Parallel()
	everything := storage.Everything
	everything.AllowWatchBookmarks = true
	names := []string{"a", "b", "c"}
	list := func(ctx context.Context, top storage.Interface, opts storage.ListOptions) ([]string, error) {
		list := &example.PodList{}
		if err := top.GetList(ctx, podPrefix, opts, list); err != nil {
			return nil, err
		}
		return podNames(list), nil
	}
	tell := func(ctx context.Context, top storage.Interface, opts storage.ListOptions) ([]string, error) {
		w, err := top.Watch(ctx, podPrefix, opts)
		if err != nil {
			return nil, err
		}
		return told(w)
	}
	deletions := []string{"DELETED a", "DELETED b", "DELETED c"}
	for _, test := range []struct {
		name string
		// read gets the revisions before the batch and of it.
		read func(ctx context.Context, top storage.Interface, before, batch string) ([]string, error)
		want []string
	}{
		{"consistent list", func(ctx context.Context, top storage.Interface, _, _ string) ([]string, error) {
			return list(ctx, top, storage.ListOptions{Recursive: true, Predicate: everything})
		}, nil},
		{"list of any age", func(ctx context.Context, top storage.Interface, _, _ string) ([]string, error) {
			return list(ctx, top, storage.ListOptions{ResourceVersion: "0", Recursive: true, Predicate: everything})
		}, nil},
		{"list at the revision", func(ctx context.Context, top storage.Interface, _, batch string) ([]string, error) {
			return list(ctx, top, storage.ListOptions{ResourceVersion: batch, ResourceVersionMatch: metav1.ResourceVersionMatchExact,
				Recursive: true, Predicate: everything})
		}, nil},
		{"list with a limit", func(ctx context.Context, top storage.Interface, _, _ string) ([]string, error) {
			limited := everything
			limited.Limit = 2
			return list(ctx, top, storage.ListOptions{Recursive: true, Predicate: limited})
		}, nil},
		{"get", func(ctx context.Context, top storage.Interface, _, batch string) ([]string, error) {
			pod := &example.Pod{}
			err := top.Get(ctx, podPrefix+"default/c", storage.GetOptions{ResourceVersion: batch, IgnoreNotFound: true}, pod)
			if pod.Name == "" {
				return nil, err
			}
			return []string{pod.Name}, err
		}, nil},
		{"watch from before", func(ctx context.Context, top storage.Interface, before, _ string) ([]string, error) {
			return tell(ctx, top, storage.ListOptions{ResourceVersion: before, Recursive: true, Predicate: everything})
		}, deletions},
		{"watch with initial events", func(ctx context.Context, top storage.Interface, _, _ string) ([]string, error) {
			return tell(ctx, top, storage.ListOptions{SendInitialEvents: ptr.To(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
				Recursive: true, Predicate: everything})
		}, nil},
		{"watch from any", func(ctx context.Context, top storage.Interface, _, _ string) ([]string, error) {
			return tell(ctx, top, storage.ListOptions{ResourceVersion: "0", Recursive: true, Predicate: everything})
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var hold atomic.Bool
			reached, release := make(chan struct{}), make(chan struct{})
			s := cachedStack(t, func(o *setup) {
				o.attributes = func(obj runtime.Object) (labels.Set, fields.Set, error) {
					if pod, ok := obj.(*example.Pod); ok && pod.Name == "b" && hold.CompareAndSwap(true, false) {
						close(reached)
						<-release
					}
					return podAttributes(obj)
				}
			})
			top := s.Interface.(*wholeBatches)
			first := firstReads{top.Interface, make(chan struct{}, 1)}
			top.Interface = first

			ctx := t.Context()
			create := func(name string) string {
				pod := &example.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
				out := &example.Pod{}
				if err := top.Create(ctx, podPrefix+"default/"+name, pod, out, 0); err != nil {
					t.Fatal(err)
				}
				return out.ResourceVersion
			}
			before := ""
			for _, name := range names {
				before = create(name)
			}
			if got, err := list(ctx, first.Interface, storage.ListOptions{Recursive: true, Predicate: everything}); err != nil ||
				!slices.Equal(got, names) {
				t.Fatalf("there are %v (%v)", got, err)
			}

			hold.Store(true)
			var deletes []clientv3.Op
			for _, name := range names {
				deletes = append(deletes, clientv3.OpDelete(path.Join("/registry", podPrefix, "default", name)))
			}
			response, err := s.client.Txn(ctx).Then(deletes...).Commit()
			if err != nil {
				t.Fatal(err)
			}
			<-reached
			if got, err := list(ctx, first.Interface,
				storage.ListOptions{ResourceVersion: "0", Recursive: true, Predicate: everything}); err != nil || !slices.Equal(got, names[1:]) {
				t.Fatalf("in the middle of the batch there are %v (%v)", got, err)
			}
			go func() {
				<-first.done
				close(release)
			}()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				got, err := test.read(ctx, top, before, strconv.FormatInt(response.Header.Revision, 10))
				// A list that is read again may be late enough to show what ends watches.
				got = slices.DeleteFunc(got, func(name string) bool { return name == "end" })
				if err != nil || !slices.Equal(got, test.want) {
					t.Errorf("read %v, want %v (%v)", got, test.want, err)
				}
			}()
			<-release
			create("end")
			<-ended
		})
	}
}

func podNames(list *example.PodList) []string {
	var names []string
	for _, pod := range list.Items {
		names = append(names, pod.Name)
	}
	return names
}

// told is what a watch tells of up to the creation of a pod that is named end or
// annotated so. The watch is stopped then.
func told(w watch.Interface) ([]string, error) {
	defer w.Stop()
	var told []string
	for event := range w.ResultChan() {
		if cacheable, ok := event.Object.(runtime.CacheableObject); ok {
			event.Object = cacheable.GetObject()
		}
		pod, ok := event.Object.(*example.Pod)
		if !ok {
			return told, apierrors.FromObject(event.Object)
		}
		if pod.Name == "end" || pod.Annotations["end"] != "" {
			return told, nil
		}
		if event.Type != watch.Bookmark {
			told = append(told, string(event.Type)+" "+pod.Name)
		}
	}
	return told, fmt.Errorf("the watch ended after %v", told)
}
