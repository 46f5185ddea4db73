package atomicwatch

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// TestAtomicWatch has the cache deliver earlier events than a client asked for.
func TestAtomicWatch(t *testing.T) {
	t.Parallel()
	failure := watch.Event{Type: watch.Error, Object: &metav1.Status{}}
	bookmark := func(revision uint64) watch.Event {
		event := podEvent("", revision)
		event.Type = watch.Bookmark
		return event
	}
	events := []watch.Event{bookmark(2), podEvent("a", 3), podEvent("b", 4), podEvent("c", 4), bookmark(4), podEvent("a", 5), podEvent("a", 6),
		podEvent("b", 6), failure}
	state := &tracker{}
	state.filled(1)
	for _, revision := range []uint64{4, 6} {
		state.apply(revision, func() {})
	}
	state.delivered(9, true)
	for from, skipped := range map[uint64]int{
		3: 2, // not a batch: none of its events
		4: 2, // a batch: all of its events
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
			whole := &reads{Interface: &fedStore{events: inner}, batches: state, newFunc: newPod}
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

// windowed is a watch cache whose oldest event has a given revision.
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

// TestWatchAtTheEdgeOfTheWindow watches from revisions at which the cache may have
// dropped a part of a batch. The client gets a 410 and lists again.
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
			state := &tracker{}
			state.filled(test.listed)
			for range test.events {
				state.delivered(300, false)
			}
			cache := &windowed{oldest: 101}
			whole := &reads{Interface: cache, batches: state, newFunc: newPod}
			w, err := whole.Watch(t.Context(), podPrefix, storage.ListOptions{ResourceVersion: strconv.FormatUint(test.from, 10)})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
			last := cache.from[len(cache.from)-1]
			if test.expired {
				if event := <-w.ResultChan(); !isExpired(event) {
					t.Errorf("received %v from %s, want a 410", event, last)
				}
			} else if from, err := strconv.ParseUint(last, 10, 64); err != nil || from < cache.oldest-1 {
				t.Errorf("watched from %v", cache.from)
			}
		})
	}
}
