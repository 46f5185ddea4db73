package storage

import (
	"context"
	"strconv"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// maxCachedLists bounds how often a list is read from the watch cache because a
// batch was applied at the time. Each is begun when no batch is being applied.
const maxCachedLists = 8

// wholeBatches is the layer above the watch cache: what it returns shows all of
// a batch or nothing. Where no batch is applied at the time, that costs two
// atomic loads.
type wholeBatches struct {
	// Interface reads from the watch cache.
	storage.Interface
	// uncached reads from etcd.
	uncached storage.Interface
	batches  *batches
	newFunc  func() runtime.Object
}

// Get implements storage.Interface. An object has a resource version of its own,
// so only one that is asked for at the revision of a batch can be out of date.
func (s *wholeBatches) Get(ctx context.Context, key string, opts storage.GetOptions, obj runtime.Object) error {
	before := s.batches.applied.Load()
	err := s.Interface.Get(ctx, key, opts, obj)
	revision, parseErr := s.Versioner().ParseResourceVersion(opts.ResourceVersion)
	if parseErr != nil || !s.batches.maybePart(before, revision) {
		return err
	}
	s.batches.wait()
	return s.Interface.Get(ctx, key, opts, obj)
}

// GetList implements storage.Interface.
func (s *wholeBatches) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	for range maxCachedLists {
		before := s.batches.applied.Load()
		if err := s.Interface.GetList(ctx, key, opts, list); err != nil {
			return err
		}
		accessor, err := meta.ListAccessor(list)
		if err != nil {
			return err
		}
		revision, err := s.Versioner().ParseResourceVersion(accessor.GetResourceVersion())
		if err != nil {
			return err
		}
		if !s.batches.maybePart(before, revision) {
			return nil
		}
		if err := meta.SetList(list, nil); err != nil {
			return err
		}
		s.batches.wait()
		if consistent(opts) {
			// The cache need not ask etcd again how far it must have come.
			opts.ResourceVersion, opts.ResourceVersionMatch = accessor.GetResourceVersion(), metav1.ResourceVersionMatchNotOlderThan
		}
	}
	return s.uncached.GetList(ctx, key, opts, list)
}

func consistent(opts storage.ListOptions) bool {
	return opts.ResourceVersion == "" && opts.ResourceVersionMatch == "" && opts.Predicate.Continue == ""
}

// register begins a watch of the watch cache that misses no part of a batch.
func (s *wholeBatches) register(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	before := s.batches.applied.Load()
	w, err := s.Interface.Watch(ctx, key, opts)
	if begun := s.batches.begun.Load(); err != nil || begun == before || beginsAt(opts, begun) {
		return w, err
	}
	w.Stop()
	if opts, err = s.catchUp(ctx, key, opts); err != nil {
		return nil, err
	}
	s.batches.applying.RLock()
	defer s.batches.applying.RUnlock()
	return s.Interface.Watch(ctx, key, opts)
}

// beginsAt says whether a watch tells of nothing up to a revision.
func beginsAt(opts storage.ListOptions, revision uint64) bool {
	if opts.SendInitialEvents != nil && *opts.SendInitialEvents {
		return false
	}
	from, err := strconv.ParseUint(opts.ResourceVersion, 10, 64)
	return err == nil && from >= revision
}

// catchUp waits until the watch cache has come as far as a watch wants it to,
// and returns options with which the watch is registered without waiting: what
// holds up batches must not wait for the cache, nor for etcd.
func (s *wholeBatches) catchUp(ctx context.Context, key string, opts storage.ListOptions) (storage.ListOptions, error) {
	if opts.SendInitialEvents == nil {
		return opts, nil
	}
	if opts.ResourceVersion == "" {
		revision, err := s.GetCurrentResourceVersion(ctx)
		if err != nil {
			return opts, err
		}
		opts.ResourceVersion = strconv.FormatUint(revision, 10)
	}
	if !*opts.SendInitialEvents {
		return opts, nil
	}
	// Whether there is an object at the key doesn't matter.
	return opts, s.Interface.Get(ctx, key, storage.GetOptions{ResourceVersion: opts.ResourceVersion, IgnoreNotFound: true}, s.newFunc())
}
