// Package storage builds each resource's storage stack:
//
//	generic registry → [atomicwatch] → [pages] → watch cache →
//	[atomicwatch] → [layer] → bounded → etcd3's store → txn → etcd
//
// A kind can have a layer of its own: claims and dependents for Services, guards for
// ranges and claims, a record of writes for EndpointSlices. Where one transaction changes
// several objects of a kind, the layers of package atomicwatch make this visible as a
// whole, which the watch cache by itself does not. What the watch cache remembers of the
// past is bounded. The pages of long lists come from an embedded etcd.
//
// The decorator of RESTOptions is the only place where a transaction can be extended: the
// storage library's client factory is private.
package storage

import (
	"context"
	"fmt"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"github.com/portolan-dev/portolan/pkg/storage/atomicwatch"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// Layer adds a layer between etcd3's store and the watch cache.
type Layer func(storage.Interface) storage.Interface

// Getter returns the storage stack of each resource.
type Getter struct {
	// Options come from the flags. Only their decorator is replaced.
	Options   generic.RESTOptionsGetter
	Client    *clientv3.Client
	Compactor etcd3.Compactor
	// Space reports whether there is room for a write. It may be nil.
	Space txn.Space
	// Observe observes transactions. It may be nil.
	Observe txn.Observer
	// FastPages reports that etcd reads a page of a list without counting what is left.
	FastPages bool
	// Layer is the resource's own layer. It may be nil.
	Layer Layer
	// Batched is true for resources of which one transaction changes several objects.
	Batched bool
}

var _ generic.RESTOptionsGetter = &Getter{}

// For returns a copy of the getter for the stack of a resource with the given layer.
func (g *Getter) For(layer Layer, batched bool) *Getter {
	other := *g
	other.Layer, other.Batched = layer, batched
	return &other
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (g *Getter) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := g.Options.GetRESTOptions(resource, example)
	if err != nil {
		return options, err
	}
	options.Decorator = func(config *storagebackend.ConfigForResource, resourcePrefix string, keyFunc func(obj runtime.Object) (string, error),
		newFunc, newListFunc func() runtime.Object, attributes storage.AttrFunc, indexers storage.IndexerFuncs,
		indexed *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
		store, closeStore, err := g.store(config, resourcePrefix, newFunc, newListFunc)
		if err != nil {
			return nil, nil, err
		}
		store = newBounded(store, config.EventsHistoryWindow)
		if g.Layer != nil {
			store = g.Layer(store)
		}
		below, above := store, func(cached storage.Interface) storage.Interface { return cached }
		if g.Batched {
			below, above = atomicwatch.Around(store, newFunc)
		}
		cached, destroy, err := newCache(cacher.Config{
			Storage:             listFirst{below},
			Versioner:           storage.APIObjectVersioner{},
			GroupResource:       config.GroupResource,
			EventsHistoryWindow: config.EventsHistoryWindow,
			ResourcePrefix:      resourcePrefix,
			KeyFunc:             keyFunc,
			NewFunc:             newFunc,
			NewListFunc:         newListFunc,
			GetAttrsFunc:        attributes,
			IndexerFuncs:        indexers,
			Indexers:            indexed,
			Codec:               config.Codec,
		}, store, closeStore)
		if err != nil {
			return nil, nil, err
		}
		if g.FastPages {
			cached = newPages(cached, store)
		}
		return above(cached), destroy, nil
	}
	return options, nil
}

func (g *Getter) store(config *storagebackend.ConfigForResource, resourcePrefix string, newFunc,
	newListFunc func() runtime.Object) (storage.Interface, func(), error) {
	client := txn.Decorate(storeClient(g.Client, config.GroupResource.String()), g.Space, g.Observe)
	versioner := storage.APIObjectVersioner{}
	store, err := etcd3.New(client, g.Compactor, config.Codec, newFunc, newListFunc, config.Prefix, resourcePrefix,
		config.GroupResource, transformerOr(config.Transformer), config.LeaseManagerConfig, typeMetaStripper{etcd3.NewDefaultDecoder(config.Codec,
			versioner)}, versioner)
	if err != nil {
		return nil, nil, err
	}
	return store, store.Close, nil
}

// storeClient returns a copy of a client whose watches have streams of their own and count
// batches, and whose leases go through txn. A Client cannot be copied as a whole; these are
// the fields that a store uses.
func storeClient(client *clientv3.Client, store string) *clientv3.Client {
	copied := clientv3.NewCtxClient(client.Ctx())
	copied.Cluster, copied.KV, copied.Lease = client.Cluster, client.KV, txn.Lease(client.Lease)
	copied.Auth, copied.Maintenance = client.Auth, client.Maintenance
	copied.Watcher = atomicwatch.CountBatches(newStreams(client.Watcher, store))
	return copied
}

// newCache makes the watch cache of a config on a store. Destroying it closes the store.
func newCache(config cacher.Config, store storage.Interface, closeStore func()) (storage.Interface, factory.DestroyFunc, error) {
	cache, err := cacher.NewCacherFromConfig(config)
	if err != nil {
		closeStore()
		return nil, nil, err
	}
	delegator := cacher.NewCacheDelegator(cache, store)
	var once sync.Once
	return watcher{delegator}, func() {
		once.Do(func() {
			delegator.Stop()
			cache.Stop()
			closeStore()
		})
	}, nil
}

// listFirst makes the watch cache list the objects before it watches. A watch would pass each
// object through five goroutines: with it, a start with many Services takes half as much CPU
// time again.
type listFirst struct{ storage.Interface }

// IsWatchListSemanticsUnSupported implements an interface of k8s.io/client-go/util/watchlist.
func (listFirst) IsWatchListSemanticsUnSupported() bool { return true }

// watcher rejects malformed resource versions of watches with a 400, as lists do. The
// generic registry turns other errors into a 500.
type watcher struct {
	storage.Interface
}

// Watch implements storage.Interface.
func (w watcher) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	if _, err := w.Versioner().ParseResourceVersion(opts.ResourceVersion); err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: %v", err))
	}
	return w.Interface.Watch(ctx, key, opts)
}
