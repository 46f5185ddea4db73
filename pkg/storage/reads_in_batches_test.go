package storage

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

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

// firstReads signals when a read of the watch cache returns.
type firstReads struct {
	storage.Interface
	done chan struct{}
}

func (f firstReads) signal() {
	select {
	case f.done <- struct{}{}:
	default:
	}
}

func (f firstReads) Get(ctx context.Context, key string, opts storage.GetOptions, obj runtime.Object) error {
	defer f.signal()
	return f.Interface.Get(ctx, key, opts, obj)
}

func (f firstReads) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	defer f.signal()
	return f.Interface.GetList(ctx, key, opts, list)
}

func (f firstReads) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	defer f.signal()
	return f.Interface.Watch(ctx, key, opts)
}

// heldBatch is a stack whose watch cache stops in the middle of a batch of deletions.
type heldBatch struct {
	*stack
	cache firstReads
	// before and batch are the revisions before and of the batch.
	before, batch string
	// release lets the cache go on.
	release chan struct{}
}

// heldNames are the pods that the batch deletes.
var heldNames = []string{"a", "b", "c"}

func newHeldBatch(t *testing.T) *heldBatch {
	t.Helper()
	b := &heldBatch{release: make(chan struct{})}
	var hold atomic.Bool
	reached := make(chan struct{})
	b.stack = cachedStack(t, func(o *setup) {
		o.attributes = func(obj runtime.Object) (labels.Set, fields.Set, error) {
			if pod, ok := obj.(*example.Pod); ok && pod.Name == "b" && hold.CompareAndSwap(true, false) {
				close(reached)
				<-b.release
			}
			return podAttributes(obj)
		}
		o.aroundCache = func(cache storage.Interface) storage.Interface {
			b.cache = firstReads{cache, make(chan struct{}, 1)}
			return b.cache
		}
	})
	var deletes []clientv3.Op
	for _, name := range heldNames {
		b.before = b.create(t, name)
		deletes = append(deletes, clientv3.OpDelete(path.Join("/registry", podPrefix, "default", name)))
	}
	everything := storage.ListOptions{Recursive: true, Predicate: storage.Everything}
	if got, err := listNames(t.Context(), b.cache.Interface, everything); err != nil || !slices.Equal(got, heldNames) {
		t.Fatalf("there are %v (%v)", got, err)
	}

	hold.Store(true)
	response, err := b.client.Txn(t.Context()).Then(deletes...).Commit()
	if err != nil {
		t.Fatal(err)
	}
	b.batch = strconv.FormatInt(response.Header.Revision, 10)
	<-reached
	everything.ResourceVersion = "0"
	if got, err := listNames(t.Context(), b.cache.Interface, everything); err != nil || !slices.Equal(got, heldNames[1:]) {
		t.Fatalf("in the middle of the batch there are %v (%v)", got, err)
	}
	return b
}

func (b *heldBatch) create(t *testing.T, name string) (resourceVersion string) {
	t.Helper()
	pod := &example.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	out := &example.Pod{}
	if err := b.Create(t.Context(), podPrefix+"default/"+name, pod, out, 0); err != nil {
		t.Fatal(err)
	}
	return out.ResourceVersion
}

func (b *heldBatch) list(ctx context.Context, opts storage.ListOptions) ([]string, error) {
	opts.Recursive = true
	return listNames(ctx, b.Interface, opts)
}

func (b *heldBatch) watch(ctx context.Context, opts storage.ListOptions) ([]string, error) {
	opts.Recursive = true
	w, err := b.Watch(ctx, podPrefix, opts)
	if err != nil {
		return nil, err
	}
	return eventsUntilEnd(w)
}

// TestReadsInABatch reads while the watch cache is in the middle of a batch.
func TestReadsInABatch(t *testing.T) {
	t.Parallel()
	everything, limited := storage.Everything, storage.Everything
	everything.AllowWatchBookmarks, limited.AllowWatchBookmarks, limited.Limit = true, true, 2
	for _, test := range []struct {
		name string
		read func(context.Context, *heldBatch) ([]string, error)
		want []string
	}{
		{"consistent list", func(ctx context.Context, b *heldBatch) ([]string, error) {
			return b.list(ctx, storage.ListOptions{Predicate: everything})
		}, nil},
		{"list of any age", func(ctx context.Context, b *heldBatch) ([]string, error) {
			return b.list(ctx, storage.ListOptions{ResourceVersion: "0", Predicate: everything})
		}, nil},
		{"list at the revision", func(ctx context.Context, b *heldBatch) ([]string, error) {
			return b.list(ctx, storage.ListOptions{ResourceVersion: b.batch, ResourceVersionMatch: metav1.ResourceVersionMatchExact,
				Predicate: everything})
		}, nil},
		{"list with a limit", func(ctx context.Context, b *heldBatch) ([]string, error) {
			return b.list(ctx, storage.ListOptions{Predicate: limited})
		}, nil},
		{"get", func(ctx context.Context, b *heldBatch) ([]string, error) {
			pod := &example.Pod{}
			err := b.Get(ctx, podPrefix+"default/c", storage.GetOptions{ResourceVersion: b.batch, IgnoreNotFound: true}, pod)
			if pod.Name == "" {
				return nil, err
			}
			return []string{pod.Name}, err
		}, nil},
		{"watch from before", func(ctx context.Context, b *heldBatch) ([]string, error) {
			return b.watch(ctx, storage.ListOptions{ResourceVersion: b.before, Predicate: everything})
		}, []string{"DELETED a", "DELETED b", "DELETED c"}},
		{"watch with initial events", func(ctx context.Context, b *heldBatch) ([]string, error) {
			return b.watch(ctx, storage.ListOptions{SendInitialEvents: ptr.To(true),
				ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, Predicate: everything})
		}, nil},
		{"watch from any", func(ctx context.Context, b *heldBatch) ([]string, error) {
			return b.watch(ctx, storage.ListOptions{ResourceVersion: "0", Predicate: everything})
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newHeldBatch(t)
			go func() {
				<-b.cache.done
				close(b.release)
			}()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				got, err := test.read(t.Context(), b)
				// A repeated list may be late enough to show the pod that ends watches.
				got = slices.DeleteFunc(got, func(name string) bool { return name == "end" })
				if err != nil || !slices.Equal(got, test.want) {
					t.Errorf("read %v, want %v (%v)", got, test.want, err)
				}
			}()
			<-b.release
			b.create(t, "end")
			<-ended
		})
	}
}

func listNames(ctx context.Context, top storage.Interface, opts storage.ListOptions) ([]string, error) {
	list := &example.PodList{}
	if err := top.GetList(ctx, podPrefix, opts, list); err != nil {
		return nil, err
	}
	var names []string
	for _, pod := range list.Items {
		names = append(names, pod.Name)
	}
	return names, nil
}

// eventsUntilEnd returns the events of a watch up to the creation of a pod that is named
// or annotated "end", and stops the watch.
func eventsUntilEnd(w watch.Interface) ([]string, error) {
	defer w.Stop()
	var events []string
	for event := range w.ResultChan() {
		if cacheable, ok := event.Object.(runtime.CacheableObject); ok {
			event.Object = cacheable.GetObject()
		}
		pod, ok := event.Object.(*example.Pod)
		if !ok {
			return events, apierrors.FromObject(event.Object)
		}
		if pod.Name == "end" || pod.Annotations["end"] != "" {
			return events, nil
		}
		if event.Type != watch.Bookmark {
			events = append(events, string(event.Type)+" "+pod.Name)
		}
	}
	return events, fmt.Errorf("the watch ended after %v", events)
}
