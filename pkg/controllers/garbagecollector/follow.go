package garbagecollector

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	apiextensionslisters "k8s.io/apiextensions-apiserver/pkg/client/listers/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/controllers/garbagecollector/graph"
	"github.com/portolan-dev/portolan/pkg/storage/source"
)

// follower keeps the graph in line with the objects of all kinds, which come and go.
type follower struct {
	client metadata.Interface
	graph  *graph.Graph
	kinds  *kinds
	// builtIn are the kinds that are always served.
	builtIn     []Kind
	definitions apiextensionslisters.CustomResourceDefinitionLister
	// changed has an element if a definition has changed.
	changed chan struct{}
	// first is closed once the kinds of the start are known.
	first   chan struct{}
	watches map[schema.GroupVersionResource]func()
}

func (f *follower) notice() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// run follows all kinds until the context ends.
func (f *follower) run(ctx context.Context) {
	started := sync.OnceFunc(func() { close(f.first) })
	for {
		if err := f.update(ctx); err != nil {
			klog.FromContext(ctx).Error(err, "The garbage collector can't list CustomResourceDefinitions")
		}
		started()
		select {
		case <-ctx.Done():
			for _, stop := range f.watches {
				stop()
			}
			return
		case <-f.changed:
		}
	}
}

// update starts and stops watches, so that there is one for each kind.
func (f *follower) update(ctx context.Context) error {
	definitions, err := f.definitions.List(labels.Everything())
	if err != nil {
		return err
	}
	all := append([]Kind{}, f.builtIn...)
	for _, definition := range definitions {
		if kind, served := custom(definition); served {
			all = append(all, kind)
		}
	}
	f.kinds.set(all)
	served := map[schema.GroupVersionResource]Kind{}
	for _, kind := range all {
		if !kind.Ignored {
			served[kind.Resource] = kind
		}
	}
	f.stopOthers(ctx, served)
	for resource, kind := range served {
		if f.watches[resource] == nil {
			f.watches[resource] = f.follow(ctx, kind)
		}
	}
	f.graph.Resolve()
	return nil
}

// stopOthers ends the watches of kinds that are not served any more.
func (f *follower) stopOthers(ctx context.Context, served map[schema.GroupVersionResource]Kind) {
	others := maps.Clone(f.watches)
	maps.DeleteFunc(others, func(resource schema.GroupVersionResource, _ func()) bool {
		_, still := served[resource]
		return still
	})
	if len(others) == 0 {
		return
	}
	// Before a definition is deleted, its objects are. Their events may still be on the way.
	select {
	case <-ctx.Done():
	case <-time.After(lastEvents):
	}
	for resource, stop := range others {
		stop()
		delete(f.watches, resource)
		f.graph.Forget(resource.GroupResource().String())
	}
}

// follow puts the objects of a kind into the graph until stop is called.
func (f *follower) follow(ctx context.Context, kind Kind) (stop func()) {
	options := cache.ReflectorOptions{Name: "garbagecollector", TypeDescription: kind.Resource.String()}
	into := objects{f.graph, kind.name()}
	var reflector *cache.Reflector
	if kind.Source != nil {
		reflector = cache.NewReflectorWithOptions(source.ListWatch(kind.Source), nil, into, options)
	} else {
		reflector = cache.NewReflectorWithOptions(f.listWatch(kind), &metav1.PartialObjectMetadata{}, trimmed{into}, options)
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { reflector.RunWithContext(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// listWatch reads the metadata of a kind with the client.
func (f *follower) listWatch(kind Kind) cache.ListerWatcher {
	client := f.client.Resource(kind.Resource)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return client.Watch(ctx, options)
		},
	}, f.client)
}

// awaitAll waits until the graph has all objects, or for a time. A kind that can't be read
// does not keep the others from being collected.
func (f *follower) awaitAll(stopping context.Context, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(stopping, timeout)
	defer cancel()
	select {
	case <-f.first:
	case <-ctx.Done():
		return
	}
	f.kinds.mu.RLock()
	all := f.kinds.byResource
	f.kinds.mu.RUnlock()
	for name, kind := range all {
		if !kind.Ignored && !cache.WaitForCacheSync(ctx.Done(), func() bool { return f.graph.Follows(name) }) {
			if stopping.Err() != nil {
				return
			}
			klog.FromContext(ctx).Info("The garbage collector starts although it can't read some objects", "resource", name)
			return
		}
	}
}

// objects puts the objects of a resource into the graph. It is what a Reflector writes to.
type objects struct {
	graph    *graph.Graph
	resource string
}

var _ cache.ReflectorStore = objects{}

// Add implements cache.ReflectorStore.
func (o objects) Add(obj any) error { return o.Update(obj) }

// Update implements cache.ReflectorStore.
func (o objects) Update(obj any) error {
	object, ok := obj.(metav1.Object)
	if !ok {
		return fmt.Errorf("a watch of %s has a %T", o.resource, obj)
	}
	o.graph.Put(o.resource, object)
	return nil
}

// Delete implements cache.ReflectorStore.
func (o objects) Delete(obj any) error {
	object, ok := obj.(metav1.Object)
	if !ok {
		return fmt.Errorf("a watch of %s has a %T", o.resource, obj)
	}
	o.graph.Delete(o.resource, object)
	return nil
}

// Replace implements cache.ReflectorStore.
func (o objects) Replace(list []any, _ string) error {
	all := make([]metav1.Object, len(list))
	for i, obj := range list {
		object, ok := obj.(metav1.Object)
		if !ok {
			return fmt.Errorf("a list of %s has a %T", o.resource, obj)
		}
		all[i] = object
	}
	o.graph.Replace(o.resource, all)
	return nil
}

// Resync implements cache.ReflectorStore.
func (objects) Resync() error { return nil }

// trimmed is for objects that no one else uses.
type trimmed struct{ objects }

var _ cache.TransformingStore = trimmed{}

// Transformer implements cache.TransformingStore. A first list is kept without what the
// graph does not need.
func (trimmed) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) {
		if object, ok := obj.(metav1.Object); ok {
			object.SetManagedFields(nil)
			object.SetLabels(nil)
			object.SetAnnotations(nil)
		}
		return obj, nil
	}
}
