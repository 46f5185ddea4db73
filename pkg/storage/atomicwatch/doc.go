// Package atomicwatch makes the changes of one transaction visible as a whole through a
// watch cache.
//
// A batch is what one transaction changes among the objects of one resource, if that is
// more than one object: the claims of a Service, or the EndpointSlices that are deleted
// with it. All events of a batch have the same revision.
//
// # The problem
//
// The watch cache was made for stores in which each change has a revision of its own. It
// applies a batch event by event, and reports the batch's revision from the first event
// on. Three kinds of reads are wrong as a result:
//
//   - A list from the cache, until the last event is applied, has the batch's resource
//     version and shows part of the batch.
//   - A watch that is registered in that time misses the rest. Of its initial events and
//     those that follow, the cache drops events that are not newer than the last of the
//     initial ones.
//   - A watch can end between two events of a batch: the connection breaks, or the cache
//     ends the watch because the client is too slow. The client watches again from the
//     batch's revision, since it has no other way to say how far it got, and misses the
//     rest.
//
// # The cure
//
// Around puts a layer on each side of the cache. The lower one (marker) collects the
// events of a batch before it hands them to the cache, and marks the time in which the
// cache applies them (tracker). The upper one (reads) repeats reads that overlapped with
// that time, and starts a watch at the revision of a batch with the whole batch.
//
// The lower layer knows the size of a batch from etcd's responses, which etcd does not
// split within a revision. They pass through CountBatches, below etcd3's store.
package atomicwatch

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// Around returns the layer below a watch cache, from which only the cache reads, and which
// it must list before it watches. above returns the layer above the cache. The client of the
// store must watch through CountBatches. newFunc returns an empty object of the store's kind.
func Around(store storage.Interface, newFunc func() runtime.Object) (below storage.Interface,
	above func(cache storage.Interface) storage.Interface) {
	batches := &tracker{}
	below = &marker{Interface: store, batches: batches, newFunc: newFunc}
	above = func(cache storage.Interface) storage.Interface {
		return &reads{Interface: cache, uncached: store, batches: batches, newFunc: newFunc}
	}
	return below, above
}
