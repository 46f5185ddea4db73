package claims

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/storage/source"
)

// Feed keeps an index up to date from the stores of claims, ranges and Services.
type Feed struct {
	stores []*indexStore
	uses   *useStore
}

// NewFeed makes a feed of the ledger's index, for Run to start.
func NewFeed(ledger *Ledger) *Feed {
	feed := &Feed{uses: &useStore{index: ledger.Index}}
	for _, k := range kinds() {
		feed.stores = append(feed.stores, rangeStore(ledger.Index, k))
	}
	for _, k := range kinds() {
		feed.stores = append(feed.stores, claimStore(ledger, k))
	}
	return feed
}

// Run feeds the index from the sources of resources, which of returns, until the context
// ends.
func (f *Feed) Run(ctx context.Context, of func(resource string) source.Source) {
	for _, store := range f.stores {
		reflector := cache.NewReflectorWithOptions(source.ListWatch(of(store.resource)), store.example, store,
			cache.ReflectorOptions{Name: fmt.Sprintf("allocation index (%T)", store.example)})
		go reflector.RunWithContext(ctx)
	}
	reflector := cache.NewReflectorWithOptions(source.ListWatch(loadBalancersOf(of("services"))), &v1.Service{}, f.uses,
		cache.ReflectorOptions{Name: "allocation index (uses)"})
	go reflector.RunWithContext(ctx)
}

// HasSynced reports whether the index has everything that existed when the feed started.
func (f *Feed) HasSynced() bool {
	for _, store := range f.stores {
		if !store.synced.Load() {
			return false
		}
	}
	return f.uses.synced.Load()
}

// indexStore is the store of a reflector. It enters objects into the index.
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

func claimStore(ledger *Ledger, k kind) *indexStore {
	index, observer := ledger.Index, ledger.observe()
	observed := func(class allocation.Class, revision int64) {
		index.ObserveRevision(class, revision)
		observer.ObserveRevision(class, revision)
	}
	return &indexStore{
		resource: k.names().claims, example: k.newClaim(),
		set: func(obj runtime.Object, _ int64) {
			if value, claim, ok := claimed(k, obj); ok {
				index.Observe(value, claim)
				observed(value.Class, claim.Revision)
			}
		},
		remove: func(name string, revision int64) {
			if value, ok := k.parse(name); ok {
				index.Absent(value, revision)
				observed(value.Class, revision)
			}
		},
		replace: func(objs []runtime.Object, revision int64) {
			listed := make(map[allocation.Value]allocation.Claim, len(objs))
			for _, obj := range objs {
				if value, claim, ok := claimed(k, obj); ok {
					listed[value] = claim
				}
			}
			index.Replace(listed, revision, k.classes()...)
			for _, class := range k.classes() {
				observer.ObserveRevision(class, revision)
			}
		},
	}
}

// claimed returns the value of a claim and the claim as the index has it.
func claimed(k kind, obj runtime.Object) (allocation.Value, allocation.Claim, bool) {
	c, ok := k.claim(obj)
	if !ok {
		return allocation.Value{}, allocation.Claim{}, false
	}
	value, ok := k.parse(c.meta.Name)
	return value, c.at(revisionOf(obj)), ok
}

func rangeStore(index *allocation.Index, k kind) *indexStore {
	set := func(obj runtime.Object, revision int64) { enterRange(index, k, obj, revision) }
	remove := func(name string, revision int64) { removeRange(index, k, name, revision) }
	return &indexStore{
		resource: k.names().ranges, example: k.newRange(),
		set: set, remove: remove,
		replace: func(objs []runtime.Object, revision int64) {
			listed := map[string]bool{}
			for _, obj := range objs {
				listed[nameOf(obj)] = true
				set(obj, revisionOf(obj))
			}
			for _, class := range k.classes() {
				for _, r := range index.Ranges(class) {
					if !listed[r.Name] && r.Revision <= revision {
						remove(r.Name, revision)
					}
				}
			}
		},
	}
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
