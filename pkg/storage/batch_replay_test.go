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

// batchWorld is a store with a batch in its history, and stacks that were started
// before it, with it as the last thing that happened, and later.
type batchWorld struct {
	*stack
	before, at, after *stack
	// single is the revision of a single write before the batch.
	single, batch int64
}

const podKeys = "/registry/pods/"

func (s *stack) createPod(t *testing.T, namespace, name, app string, annotations ...string) int64 {
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

func newBatchWorld(t *testing.T) *batchWorld {
	t.Helper()
	w := &batchWorld{stack: cachedStack(t)}
	ctx := t.Context()
	value := func(key string) string {
		response, err := w.client.Get(ctx, podKeys+key)
		if err != nil || len(response.Kvs) != 1 {
			t.Fatal(response, err)
		}
		return string(response.Kvs[0].Value)
	}
	w.createPod(t, "one", "a", "x")
	w.createPod(t, "one", "b", "y")
	w.single = w.createPod(t, "two", "c", "x")
	a, c := value("one/a"), value("two/c")
	if _, err := w.client.Delete(ctx, podKeys+"two/c"); err != nil {
		t.Fatal(err)
	}
	w.before = w.again(t)
	response, err := w.client.Txn(ctx).Then(clientv3.OpPut(podKeys+"one/a", a), clientv3.OpDelete(podKeys+"one/b"),
		clientv3.OpPut(podKeys+"two/c", c)).Commit()
	if err != nil {
		t.Fatal(err)
	}
	w.batch = response.Header.Revision
	w.at = w.again(t)
	w.createPod(t, "one", "later", "x")
	w.after = w.again(t)
	return w
}

// TestWatchFromABatch watches from the revision of a batch, as a client does whose
// connection broke between two of its events, and from others, of which nothing
// may be told again.
func TestWatchFromABatch(t *testing.T) {
	t.Parallel()
	w := newBatchWorld(t)
	all, later := []string{"MODIFIED a", "DELETED b", "ADDED c"}, []string{"ADDED later"}
	since := append(slices.Clone(all), later...)
	selecting := func(label, field string) storage.SelectionPredicate {
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
	everything, bookmarks := selecting("", ""), selecting("", "")
	bookmarks.AllowWatchBookmarks = true
	const one, two, three = podPrefix + "one/", podPrefix + "two/", podPrefix + "three/"
	type watching struct {
		name, key string
		from      int64
		predicate storage.SelectionPredicate
		initial   *bool
		want      []string
		in        watch.Interface
	}
	var watches []*watching
	for _, top := range []struct {
		name string
		storage.Interface
		// listed is where its watch cache began.
		listed int64
	}{{"running", w.Interface, 0}, {"started before", w.before.Interface, w.batch - 1}, {"started at", w.at.Interface, w.batch}} {
		for _, c := range []watching{
			{name: "from the batch", key: podPrefix, from: w.batch, predicate: everything, want: since},
			{name: "with bookmarks", key: podPrefix, from: w.batch, predicate: bookmarks, want: since},
			{name: "without initial events", key: podPrefix, from: w.batch, predicate: everything, initial: ptr.To(false), want: since},
			{name: "a namespace", key: one, from: w.batch, predicate: everything, want: []string{all[0], all[1], later[0]}},
			{name: "another namespace", key: two, from: w.batch, predicate: everything, want: all[2:]},
			{name: "a namespace without", key: three, from: w.batch, predicate: everything},
			{name: "a label", key: podPrefix, from: w.batch, predicate: selecting("x", ""), want: []string{all[0], all[2], later[0]}},
			{name: "a label of none", key: podPrefix, from: w.batch, predicate: selecting("z", "")},
			{name: "a name", key: podPrefix, from: w.batch, predicate: selecting("", "b"), want: all[1:2]},
			{name: "from before the batch", key: podPrefix, from: w.batch - 1, predicate: everything, want: since},
			{name: "from a single write", key: podPrefix, from: w.single, predicate: everything, want: append([]string{"DELETED c"}, since...)},
			{name: "from the last write", key: podPrefix, from: w.batch + 1, predicate: everything},
		} {
			if c.from < top.listed {
				continue
			}
			// What is read from etcd is of the namespace alone, in which one thing
			// changed: its clients can't have seen a part of that.
			if top.listed > 0 && c.key == two {
				c.want = nil
			}
			opts := storage.ListOptions{
				ResourceVersion: strconv.FormatInt(c.from, 10), Predicate: c.predicate, SendInitialEvents: c.initial, Recursive: true,
			}
			if c.initial != nil {
				opts.ResourceVersionMatch = metav1.ResourceVersionMatchNotOlderThan
			}
			var err error
			if c.in, err = top.Watch(t.Context(), c.key, opts); err != nil {
				t.Fatalf("%s, %s: %v", top.name, c.name, err)
			}
			c.name = top.name + ", " + c.name
			watches = append(watches, &c)
		}
	}
	// One of these is selected by each watch.
	for _, end := range []string{"one", "two", "three"} {
		w.createPod(t, end, "end", "x")
	}
	w.createPod(t, "one", "b", "z", "end")
	for _, watching := range watches {
		if got, err := told(watching.in); err != nil || !slices.Equal(got, watching.want) {
			t.Errorf("%s: told %q, want %q (%v)", watching.name, got, watching.want, err)
		}
	}

	// Who was filled later can't tell: the client lists again.
	opts := storage.ListOptions{ResourceVersion: strconv.FormatInt(w.batch, 10), Predicate: everything, Recursive: true}
	if err := firstError(t, w.after.Interface, opts); !apierrors.IsResourceExpired(err) {
		t.Errorf("from before the start: %v, want a 410", err)
	}
	if _, err := w.client.Compact(t.Context(), w.batch+1); err != nil {
		t.Fatal(err)
	}
	if err := firstError(t, w.at.Interface, opts); !apierrors.IsResourceExpired(err) {
		t.Errorf("from a revision that was compacted: %v, want a 410", err)
	}
}

// TestWatchEndedAmidABatch lets the watch cache end the watch of a client that is
// too slow for a large batch. The client watches again from the last revision
// that it has seen and receives the whole batch. The test doesn't run in parallel
// with others because it counts the watches that were ended.
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
		if revision := revisionOf(s.Interface, event); revision != uint64(batch) {
			t.Fatalf("the watch that was ended told %v of revision %d, want events of %d only", event, revision, batch)
		}
		part++
	}
	if part >= size {
		t.Fatalf("the watch that was ended told %d events, want fewer than %d", part, size)
	}
	got, err := told(watchFrom(batch))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("watching again told %q, want %q (%v)", got, want, err)
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
		t.Errorf("told %v", event)
		return nil
	}
	return apierrors.FromObject(event.Object)
}

// windowed is a watch cache that has no events up to a revision.
type windowed struct {
	storage.Interface
	oldest uint64
	from   []string
}

func (w *windowed) Versioner() storage.Versioner { return storage.APIObjectVersioner{} }

func (w *windowed) Watch(_ context.Context, _ string, opts storage.ListOptions) (watch.Interface, error) {
	w.from = append(w.from, opts.ResourceVersion)
	events := make(chan watch.Event, 1)
	if from, err := strconv.ParseUint(opts.ResourceVersion, 10, 64); err != nil || from < w.oldest-1 {
		events <- watch.Event{Type: watch.Error, Object: &apierrors.NewResourceExpired("too old resource version").ErrStatus}
	}
	return watch.NewProxyWatcher(events), nil
}

// TestWatchAtTheEdgeOfTheWindow watches from where the watch cache may have
// dropped a part of a batch: the client lists again.
func TestWatchAtTheEdgeOfTheWindow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		listed, from uint64
		events       int
		expired      bool
	}{
		"events before the oldest are not needed": {10, 102, 200, false},
		"the oldest may be the rest of a batch":   {10, 101, 200, true},
		"it may be, and is needed whole":          {10, 100, 200, true},
		"filled there, with nothing dropped":      {100, 101, 50, false},
		"filled there, with events dropped":       {100, 101, 200, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := &batches{}
			state.fill(test.listed)
			for range test.events {
				state.tell(300, false)
			}
			cache := &windowed{oldest: 101}
			whole := &wholeBatches{Interface: cache, batches: state, newFunc: newPod}
			w, err := whole.Watch(t.Context(), podPrefix, storage.ListOptions{ResourceVersion: strconv.FormatUint(test.from, 10)})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
			last := cache.from[len(cache.from)-1]
			if test.expired {
				if event := <-w.ResultChan(); !isExpired(event) {
					t.Errorf("told %v from %s, want a 410", event, last)
				}
			} else if from, err := strconv.ParseUint(last, 10, 64); err != nil || from < cache.oldest-1 {
				t.Errorf("watched from %v", cache.from)
			}
		})
	}
}
