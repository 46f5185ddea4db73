// Package storage builds each resource's storage stack:
//
//	generic registry → wholeBatches → watch cache → batchMarker → a wrapper → etcd3's store → txn → etcd
//
// The wrapper is what a kind has of its own: Services their claims and
// dependents, ranges and claims their guards, EndpointSlices a record of writes.
// Where one transaction changes several objects of a kind, the layers above and
// below the watch cache see to it that this shows as a whole, which the cache by
// itself doesn't (see batches).
//
// The storage library has no other seam at which a transaction could be
// widened: its client factory is private, the decorator of RESTOptions is not.
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

	"github.com/portolan-dev/portolan/pkg/txn"
)

// Wrapper puts a layer between etcd3's store and the watch cache.
type Wrapper func(storage.Interface) storage.Interface

// Getter hands out the storage stack of each resource.
type Getter struct {
	// Options are those of the flags; only their decorator is replaced.
	Options   generic.RESTOptionsGetter
	Client    *clientv3.Client
	Compactor etcd3.Compactor
	// Space says whether there is room for a write; it may be nil.
	Space txn.Space
	// Observe is told of transactions; it may be nil.
	Observe txn.Observer
	// Layer is put between etcd3's store and the watch cache; it may be nil.
	Layer Wrapper
	// Batched is true for resources of which one transaction changes several objects.
	Batched bool
}

var _ generic.RESTOptionsGetter = &Getter{}

// For returns a getter like this one for the stack of a resource with the given layer.
func (g *Getter) For(layer Wrapper, batched bool) *Getter {
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
		newFunc, newListFunc func() runtime.Object, attributes storage.AttrFunc, indexers storage.IndexerFuncs, indexed *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
		store, closeStore, err := g.store(config, resourcePrefix, newFunc, newListFunc)
		if err != nil {
			return nil, nil, err
		}
		if g.Layer != nil {
			store = g.Layer(store)
		}
		build := cached
		if g.Batched {
			build = cachedBatches
		}
		return build(cacher.Config{
			Storage:             store,
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
		}, closeStore)
	}
	return options, nil
}

func (g *Getter) store(config *storagebackend.ConfigForResource, resourcePrefix string, newFunc,
	newListFunc func() runtime.Object) (storage.Interface, func(), error) {
	client := txn.Decorate(countBatches(g.Client), g.Space, g.Observe)
	versioner := storage.APIObjectVersioner{}
	store, err := etcd3.New(client, g.Compactor, config.Codec, newFunc, newListFunc, config.Prefix, resourcePrefix,
		config.GroupResource, transformerOr(config.Transformer), config.LeaseManagerConfig, kindless{etcd3.NewDefaultDecoder(config.Codec,
			versioner)}, versioner)
	if err != nil {
		return nil, nil, err
	}
	return store, store.Close, nil
}

// cached puts the watch cache of a config on top of the config's storage.
func cached(config cacher.Config, closeStore func()) (storage.Interface, factory.DestroyFunc, error) {
	cache, err := cacher.NewCacherFromConfig(config)
	if err != nil {
		closeStore()
		return nil, nil, err
	}
	delegator := cacher.NewCacheDelegator(cache, config.Storage)
	var once sync.Once
	return watcher{delegator}, func() {
		once.Do(func() {
			delegator.Stop()
			cache.Stop()
			closeStore()
		})
	}, nil
}

// cachedBatches does the same, with the layers around the watch cache that
// batches need.
func cachedBatches(config cacher.Config, closeStore func()) (storage.Interface, factory.DestroyFunc, error) {
	uncached, state := config.Storage, &batches{}
	config.Storage = &batchMarker{Interface: uncached, batches: state, newFunc: config.NewFunc}
	top, destroy, err := cached(config, closeStore)
	if err != nil {
		return nil, nil, err
	}
	return &wholeBatches{Interface: top, uncached: uncached, batches: state, newFunc: config.NewFunc}, destroy, nil
}

// startOf is the revision that a watch starts at. A resource version that is none
// is a bad request, as it is in a list; the generic registry makes a 500 of other
// errors.
func startOf(s storage.Interface, opts storage.ListOptions) (uint64, error) {
	revision, err := s.Versioner().ParseResourceVersion(opts.ResourceVersion)
	if err != nil {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: %v", err))
	}
	return revision, nil
}

// watcher checks the resource version that a watch starts at.
type watcher struct {
	storage.Interface
}

// Watch implements storage.Interface.
func (w watcher) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	if _, err := startOf(w, opts); err != nil {
		return nil, err
	}
	return w.Interface.Watch(ctx, key, opts)
}
