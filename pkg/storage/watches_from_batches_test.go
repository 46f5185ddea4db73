package storage

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher/metrics"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/utils/ptr"
)

// batchHistory is a store with a batch in its history, and the stacks of servers that
// started before it, right after it and later.
type batchHistory struct {
	*stack
	before, at, after *stack
	// single is the revision of a single write before the batch.
	single, batch int64
}

const podKeys = "/registry/pods/"

func (s *stack) createPod(t testing.TB, namespace, name, app string, annotations ...string) int64 {
	t.Helper()
	pod := &example.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": app}, Annotations: map[string]string{}},
	}
	for _, annotation := range annotations {
		pod.Annotations[annotation] = "yes"
	}
	out := &example.Pod{}
	if err := s.Create(t.Context(), path.Join(podPrefix, namespace, name), pod, out, 0); err != nil {
		t.Fatal(err)
	}
	revision, err := strconv.ParseInt(out.ResourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func newBatchHistory(t *testing.T) *batchHistory {
	t.Helper()
	h := &batchHistory{stack: cachedStack(t)}
	ctx := t.Context()
	value := func(key string) string {
		response, err := h.client.Get(ctx, podKeys+key)
		if err != nil || len(response.Kvs) != 1 {
			t.Fatal(response, err)
		}
		return string(response.Kvs[0].Value)
	}
	h.createPod(t, "one", "a", "x")
	h.createPod(t, "one", "b", "y")
	h.single = h.createPod(t, "two", "c", "x")
	a, c := value("one/a"), value("two/c")
	if _, err := h.client.Delete(ctx, podKeys+"two/c"); err != nil {
		t.Fatal(err)
	}
	h.before = h.again(t)
	response, err := h.client.Txn(ctx).Then(clientv3.OpPut(podKeys+"one/a", a), clientv3.OpDelete(podKeys+"one/b"),
		clientv3.OpPut(podKeys+"two/c", c)).Commit()
	if err != nil {
		t.Fatal(err)
	}
	h.batch = response.Header.Revision
	h.at = h.again(t)
	h.createPod(t, "one", "later", "x")
	h.after = h.again(t)
	return h
}

// Namespaces of the pods of a batchHistory. The third has none.
const inOne, inTwo, inThree = podPrefix + "one/", podPrefix + "two/", podPrefix + "three/"

// batchWatch is a watch of a batchHistory and the events that it must deliver.
type batchWatch struct {
	name, key string
	from      int64
	predicate storage.SelectionPredicate
	initial   *bool
	want      []string
	watch     watch.Interface
}

func selecting(label, field string) storage.SelectionPredicate {
	predicate := storage.Everything
	predicate.GetAttrs = podAttributes
	if label != "" {
		predicate.Label = labels.SelectorFromSet(labels.Set{"app": label})
	}
	if field != "" {
		predicate.Field = fields.OneTermEqualSelector("metadata.name", field)
	}
	return predicate
}

func (h *batchHistory) watches() []*batchWatch {
	all, later := []string{"MODIFIED a", "DELETED b", "ADDED c"}, []string{"ADDED later"}
	since := append(slices.Clone(all), later...)
	everything, bookmarks := selecting("", ""), selecting("", "")
	bookmarks.AllowWatchBookmarks = true
	return []*batchWatch{
		{name: "from the batch", key: podPrefix, from: h.batch, predicate: everything, want: since},
		{name: "with bookmarks", key: podPrefix, from: h.batch, predicate: bookmarks, want: since},
		{name: "without initial events", key: podPrefix, from: h.batch, predicate: everything, initial: ptr.To(false), want: since},
		{name: "a namespace", key: inOne, from: h.batch, predicate: everything, want: []string{all[0], all[1], later[0]}},
		{name: "another namespace", key: inTwo, from: h.batch, predicate: everything, want: all[2:]},
		{name: "a namespace without", key: inThree, from: h.batch, predicate: everything},
		{name: "a label", key: podPrefix, from: h.batch, predicate: selecting("x", ""), want: []string{all[0], all[2], later[0]}},
		{name: "a label of none", key: podPrefix, from: h.batch, predicate: selecting("z", "")},
		{name: "a name", key: podPrefix, from: h.batch, predicate: selecting("", "b"), want: all[1:2]},
		{name: "from before the batch", key: podPrefix, from: h.batch - 1, predicate: everything, want: since},
		{name: "from a single write", key: podPrefix, from: h.single, predicate: everything, want: append([]string{"DELETED c"}, since...)},
		{name: "from the last write", key: podPrefix, from: h.batch + 1, predicate: everything},
	}
}

func (w *batchWatch) start(t *testing.T, top storage.Interface) {
	t.Helper()
	opts := storage.ListOptions{
		ResourceVersion: strconv.FormatInt(w.from, 10), Predicate: w.predicate, SendInitialEvents: w.initial, Recursive: true,
	}
	if w.initial != nil {
		opts.ResourceVersionMatch = metav1.ResourceVersionMatchNotOlderThan
	}
	var err error
	if w.watch, err = top.Watch(t.Context(), w.key, opts); err != nil {
		t.Fatalf("%s: %v", w.name, err)
	}
}

// TestWatchFromABatch watches from the revision of a batch, as a client does whose
// connection broke between two of its events. It also watches from other revisions, whose
// events must not be repeated.
func TestWatchFromABatch(t *testing.T) {
	t.Parallel()
	h := newBatchHistory(t)
	var watches []*batchWatch
	for _, top := range []struct {
		name string
		storage.Interface
		// listed is the revision at which its watch cache was filled.
		listed int64
	}{{"running", h.Interface, 0}, {"started before", h.before.Interface, h.batch - 1}, {"started at", h.at.Interface, h.batch}} {
		for _, w := range h.watches() {
			if w.from < top.listed {
				continue
			}
			// Only the namespace is read from etcd. One thing changed in it, so its
			// clients cannot have seen part of a batch.
			if top.listed > 0 && w.key == inTwo {
				w.want = nil
			}
			w.name = top.name + ", " + w.name
			w.start(t, top.Interface)
			watches = append(watches, w)
		}
	}
	// Each watch selects one of these.
	for _, end := range []string{"one", "two", "three"} {
		h.createPod(t, end, "end", "x")
	}
	h.createPod(t, "one", "b", "z", "end")
	for _, w := range watches {
		if got, err := eventsUntilEnd(w.watch); err != nil || !slices.Equal(got, w.want) {
			t.Errorf("%s: received %q, want %q (%v)", w.name, got, w.want, err)
		}
	}
	h.checkExpired(t)
}

// checkExpired watches from batches that a server cannot know or no longer read. The
// client gets a 410 and lists again.
func (h *batchHistory) checkExpired(t *testing.T) {
	t.Helper()
	opts := storage.ListOptions{ResourceVersion: strconv.FormatInt(h.batch, 10), Predicate: selecting("", ""), Recursive: true}
	if err := firstError(t, h.after.Interface, opts); !apierrors.IsResourceExpired(err) {
		t.Errorf("from before the start: %v, want a 410", err)
	}
	if _, err := h.client.Compact(t.Context(), h.batch+1); err != nil {
		t.Fatal(err)
	}
	if err := firstError(t, h.at.Interface, opts); !apierrors.IsResourceExpired(err) {
		t.Errorf("from a revision that was compacted: %v, want a 410", err)
	}
}

// TestWatchEndedAmidABatch lets the watch cache end the watch of a client that is too
// slow for a large batch. The client watches again from the last revision that it has
// seen and receives the whole batch. The test does not run in parallel with others,
// because it counts the watches that were ended.
func TestWatchEndedAmidABatch(t *testing.T) {
	// The buffers between the watch cache and a client hold far fewer events.
	const size = 100
	s := cachedStack(t)
	var from int64
	var deletes []clientv3.Op
	var want []string
	for i := range size {
		name := fmt.Sprintf("pod-%02d", i)
		from = s.createPod(t, "one", name, "x")
		deletes = append(deletes, clientv3.OpDelete(podKeys+"one/"+name))
		want = append(want, "DELETED "+name)
	}
	watchFrom := func(revision int64) watch.Interface {
		opts := storage.ListOptions{ResourceVersion: strconv.FormatInt(revision, 10), Predicate: storage.Everything, Recursive: true}
		w, err := s.Watch(t.Context(), podPrefix, opts)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	metrics.Register()
	ended := func() float64 {
		count, err := testutil.GetCounterMetricValue(metrics.TerminatedWatchersCounter.WithLabelValues(pods.Group, pods.Resource))
		if err != nil {
			t.Fatal(err)
		}
		return count
	}
	before := ended()
	slow := watchFrom(from)
	defer slow.Stop()
	response, err := s.client.Txn(t.Context()).Then(deletes...).Commit()
	if err != nil {
		t.Fatal(err)
	}
	batch := response.Header.Revision
	if err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, wait.ForeverTestTimeout, true,
		func(context.Context) (bool, error) {
			return ended() > before, nil
		}); err != nil {
		t.Fatal(err)
	}
	s.createPod(t, "one", "end", "x")

	part := 0
	for event := range slow.ResultChan() {
		if revision, err := s.Versioner().ObjectResourceVersion(event.Object); err != nil || revision != uint64(batch) {
			t.Fatalf("the watch that was ended delivered %v of revision %d (%v), want events of %d only", event, revision, err, batch)
		}
		part++
	}
	if part >= size {
		t.Fatalf("the watch that was ended delivered %d events, want fewer than %d", part, size)
	}
	got, err := eventsUntilEnd(watchFrom(batch))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("watching again delivered %q, want %q (%v)", got, want, err)
	}
}

func firstError(t *testing.T, top storage.Interface, opts storage.ListOptions) error {
	t.Helper()
	w, err := top.Watch(t.Context(), podPrefix, opts)
	if err != nil {
		return err
	}
	defer w.Stop()
	event := <-w.ResultChan()
	if event.Type != watch.Error {
		t.Errorf("received %v", event)
		return nil
	}
	return apierrors.FromObject(event.Object)
}
