package generic

import (
	"context"
	"io"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// sharedObject acts as the watch cache's wrapper.
type sharedObject struct {
	*v1.NodePortRange
}

func (s sharedObject) CacheEncode(runtime.Identifier, func(runtime.Object, io.Writer) error, io.Writer) error {
	panic("the shared encoding lacks the fields")
}

func (s sharedObject) GetObject() runtime.Object { return s.DeepCopy() }

func fill(object runtime.Object) {
	if ports, ok := object.(*v1.NodePortRange); ok {
		ports.Status.Capacity = 7
	}
}

func next(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	select {
	case event, open := <-w.ResultChan():
		if !open {
			t.Fatal("the watch ended")
		}
		return event
	case <-time.After(10 * time.Second):
		t.Fatal("no event")
	}
	panic("unreachable")
}

func TestFillEventsFillsOwnObjects(t *testing.T) {
	inner := watch.NewFakeWithChanSize(5, false)
	w := fillEvents(t.Context(), inner, fill)
	defer w.Stop()
	shared := sharedObject{&v1.NodePortRange{}}
	inner.Add(&v1.NodePortRange{})
	inner.Modify(shared)
	inner.Delete(shared)
	for _, want := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted} {
		event := next(t, w)
		ports, ok := event.Object.(*v1.NodePortRange)
		if event.Type != want || !ok || ports.Status.Capacity != 7 {
			t.Errorf("%s: got %s of %#v", want, event.Type, event.Object)
		}
	}
	if shared.Status.Capacity != 0 {
		t.Error("the shared object was changed")
	}
}

func TestFillEventsLeavesOtherEventsAlone(t *testing.T) {
	inner := watch.NewFakeWithChanSize(2, false)
	w := fillEvents(t.Context(), inner, fill)
	defer w.Stop()
	inner.Action(watch.Bookmark, &v1.NodePortRange{})
	inner.Error(&metav1.Status{Code: 410})
	if bookmark := next(t, w); bookmark.Object.(*v1.NodePortRange).Status.Capacity != 0 {
		t.Error("a bookmark was filled in")
	}
	if failure := next(t, w); failure.Type != watch.Error || failure.Object.(*metav1.Status).Code != 410 {
		t.Errorf("got %v", failure)
	}
}

func TestFillEventsEnds(t *testing.T) {
	for name, end := range map[string]func(inner, w watch.Interface, cancel func()){
		"inner":   func(inner, _ watch.Interface, _ func()) { inner.Stop() },
		"stop":    func(_, w watch.Interface, _ func()) { w.Stop() },
		"context": func(_, _ watch.Interface, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			inner := watch.NewFakeWithChanSize(1, false)
			w := fillEvents(ctx, inner, fill)
			// This event is never received. It must not keep the watch from ending.
			inner.Add(&v1.NodePortRange{})
			end(inner, w, cancel)
			deadline := time.After(10 * time.Second)
			for {
				select {
				case _, open := <-w.ResultChan():
					if !open {
						if !inner.IsStopped() {
							t.Error("the inner watch was not stopped")
						}
						return
					}
				case <-deadline:
					t.Fatal("the watch did not end")
				}
			}
		})
	}
}
