package cascade

import (
	"context"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// Writes is the highest revision at which this replica wrote an EndpointSlice. Its
// zero value is ready to use.
type Writes struct {
	revision atomic.Uint64
}

// Record wraps the store of EndpointSlices, below the watch cache, and records the
// revisions of its writes.
func (w *Writes) Record(inner storage.Interface) storage.Interface {
	return &recorder{Interface: inner, writes: w}
}

type recorder struct {
	storage.Interface
	writes *Writes
}

// Create implements storage.Interface.
func (r *recorder) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	err := r.Interface.Create(ctx, key, obj, out, ttl)
	return r.record(out, err)
}

// GuaranteedUpdate implements storage.Interface.
func (r *recorder) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object) error {
	err := r.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, tryUpdate, cached)
	return r.record(destination, err)
}

// record needs no counterpart for deletes: the transaction shows that a slice is gone.
func (r *recorder) record(written runtime.Object, err error) error {
	if err != nil {
		return err
	}
	revision, err := versioner.ObjectResourceVersion(written)
	if err != nil {
		return err
	}
	for known := r.writes.revision.Load(); known < revision && !r.writes.revision.CompareAndSwap(known, revision); {
		known = r.writes.revision.Load()
	}
	return nil
}
