package claims

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"sync/atomic"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/tools/cache"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
)

// Source is a resource's own storage in this process.
type Source interface {
	rest.Lister
	rest.Watcher
}

// Feed keeps an index up to date from the stores of claims and ranges.
type Feed struct {
	stores []*indexStore
}

// NewFeed makes a feed of the ledger's index, for Run to start.
func NewFeed(ledger *Ledger) *Feed {
	feed, index := &Feed{}, ledger.Index
	add := func(resource string, example runtime.Object, store *indexStore) {
		store.resource, store.example = resource, example
		feed.stores = append(feed.stores, store)
	}
	add("servicecidrs", &v1.ServiceCIDR{}, rangeStore(index, []allocation.Class{allocation.IPv4, allocation.IPv6},
		func(obj runtime.Object, revision int64) { setAddressRange(index, obj.(*v1.ServiceCIDR), revision) }))
	add("nodeportranges", &v1.NodePortRange{}, rangeStore(index, []allocation.Class{allocation.Port},
		func(obj runtime.Object, revision int64) { setPortRange(index, obj.(*v1.NodePortRange), revision) }))
	add("ipaddresses", &v1.IPAddress{}, claimStore(ledger, []allocation.Class{allocation.IPv4, allocation.IPv6}, addressClaim))
	add("nodeports", &v1.NodePort{}, claimStore(ledger, []allocation.Class{allocation.Port}, portClaim))
	return feed
}

// Run feeds the index from the sources of the resources of claims and ranges until the
// context ends.
func (f *Feed) Run(ctx context.Context, source func(resource string) Source) {
	for _, store := range f.stores {
		reflector := cache.NewReflectorWithOptions(listWatch(source(store.resource)), store.example, store,
			cache.ReflectorOptions{Name: fmt.Sprintf("allocation index (%T)", store.example)})
		go reflector.RunWithContext(ctx)
	}
}

// HasSynced says whether the index has seen everything that was there when the
// feed started.
func (f *Feed) HasSynced() bool {
	for _, store := range f.stores {
		if !store.synced.Load() {
			return false
		}
	}
	return true
}

func listWatch(source Source) *cache.ListWatch {
	convert := func(options metav1.ListOptions) *metainternalversion.ListOptions {
		return &metainternalversion.ListOptions{
			ResourceVersion:      options.ResourceVersion,
			ResourceVersionMatch: options.ResourceVersionMatch,
			AllowWatchBookmarks:  options.AllowWatchBookmarks,
			SendInitialEvents:    options.SendInitialEvents,
			TimeoutSeconds:       options.TimeoutSeconds,
		}
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return source.List(ctx, convert(options))
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			events, err := source.Watch(ctx, convert(options))
			if err != nil {
				return nil, err
			}
			return watch.Filter(events, unwrapped), nil
		},
		DisableChunking: true,
	}
}

// unwrapped takes the object of an event out of the wrapper that the watch
// cache shares among its watchers. A reflector drops what is in a wrapper.
func unwrapped(event watch.Event) (watch.Event, bool) {
	if shared, ok := event.Object.(runtime.CacheableObject); ok {
		event.Object = shared.GetObject()
	}
	return event, true
}

// indexStore is the end of a reflector that enters what it gets into the index.
type indexStore struct {
	resource string
	// example is an object of the resource.
	example runtime.Object
	set     func(obj runtime.Object, revision int64)
	remove  func(name string, revision int64)
	replace func(objs []runtime.Object, revision int64)
	synced  atomic.Bool
}

var _ cache.ReflectorStore = &indexStore{}

func claimStore(ledger *Ledger, classes []allocation.Class,
	claimOf func(runtime.Object) (allocation.Value, allocation.Claim, bool)) *indexStore {
	index, observer := ledger.Index, ledger.observe()
	told := func(class allocation.Class, revision int64) {
		index.Told(class, revision)
		observer.Told(class, revision)
	}
	return &indexStore{
		set: func(obj runtime.Object, _ int64) {
			if value, claim, ok := claimOf(obj); ok {
				index.Observe(value, claim)
				told(value.Class, claim.Revision)
			}
		},
		remove: func(name string, revision int64) {
			if value, ok := valueOf(name); ok {
				index.Absent(value, revision)
				told(value.Class, revision)
			}
		},
		replace: func(objs []runtime.Object, revision int64) {
			listed := make(map[allocation.Value]allocation.Claim, len(objs))
			for _, obj := range objs {
				if value, claim, ok := claimOf(obj); ok {
					listed[value] = claim
				}
			}
			index.Replace(listed, revision, classes...)
			for _, class := range classes {
				observer.Told(class, revision)
			}
		},
	}
}

func rangeStore(index *allocation.Index, classes []allocation.Class, set func(runtime.Object, int64)) *indexStore {
	remove := func(name string, revision int64) {
		for _, class := range classes {
			index.RemoveRange(class, name, revision)
		}
	}
	return &indexStore{
		set:    set,
		remove: remove,
		replace: func(objs []runtime.Object, revision int64) {
			listed := map[string]bool{}
			for _, obj := range objs {
				listed[nameOf(obj)] = true
				set(obj, revisionOf(obj))
			}
			for _, class := range classes {
				for _, r := range index.Ranges(class) {
					if !listed[r.Name] && r.Revision <= revision {
						remove(r.Name, revision)
					}
				}
			}
		},
	}
}

func addressClaim(obj runtime.Object) (allocation.Value, allocation.Claim, bool) {
	address := obj.(*v1.IPAddress)
	addr, err := netip.ParseAddr(address.Name)
	if err != nil {
		return allocation.Value{}, allocation.Claim{}, false
	}
	return allocation.Address(addr), claimOf(address.Spec.ParentRef, revisionOf(address)), true
}

func portClaim(obj runtime.Object) (allocation.Value, allocation.Claim, bool) {
	port := obj.(*v1.NodePort)
	value, ok := valueOf(port.Name)
	return value, claimOf(port.Spec.ParentRef, revisionOf(port)), ok
}

func (s *indexStore) Add(obj any) error { return s.Update(obj) }
func (s *indexStore) Resync() error     { return nil }
func (s *indexStore) Update(obj any) error {
	object := obj.(runtime.Object)
	s.set(object, revisionOf(object))
	return nil
}

func (s *indexStore) Delete(obj any) error {
	object := obj.(runtime.Object)
	s.remove(nameOf(object), revisionOf(object))
	return nil
}

func (s *indexStore) Replace(list []any, resourceVersion string) error {
	revision, err := strconv.ParseInt(resourceVersion, 10, 64)
	if err != nil {
		return fmt.Errorf("resourceVersion of a list: %w", err)
	}
	objs := make([]runtime.Object, len(list))
	for i := range list {
		objs[i] = list[i].(runtime.Object)
	}
	s.replace(objs, revision)
	s.synced.Store(true)
	return nil
}
