package atomicwatch

import (
	"context"
	"strconv"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// maxCachedLists is how often a list is read from the watch cache before it is read from
// etcd. Each attempt begins when no batch is being applied, and fails if one begins.
const maxCachedLists = 8

// reads is the layer above the watch cache. Its results show all of a batch or nothing.
// While no batch is applied, that costs two atomic loads.
type reads struct {
	// Interface is the watch cache.
	storage.Interface
	// uncached reads from etcd.
	uncached storage.Interface
	batches  *tracker
	newFunc  func() runtime.Object
}

// Get implements storage.Interface. An object has a resource version of its own, so only
// a read that asks for the revision of a batch can return an object that is too old.
func (s *reads) Get(ctx context.Context, key string, opts storage.GetOptions, obj runtime.Object) error {
	before := s.batches.applied.Load()
	err := s.Interface.Get(ctx, key, opts, obj)
	revision, parseErr := s.Versioner().ParseResourceVersion(opts.ResourceVersion)
	if parseErr != nil || !s.batches.mayBePartial(before, revision) {
		return err
	}
	s.batches.wait()
	return s.Interface.Get(ctx, key, opts, obj)
}

// GetList implements storage.Interface.
func (s *reads) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
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
		if !s.batches.mayBePartial(before, revision) {
			return nil
		}
		if err := meta.SetList(list, nil); err != nil {
			return err
		}
		s.batches.wait()
		if consistent(opts) {
			// This saves asking etcd again for its current revision.
			opts.ResourceVersion, opts.ResourceVersionMatch = accessor.GetResourceVersion(), metav1.ResourceVersionMatchNotOlderThan
		}
	}
	return s.uncached.GetList(ctx, key, opts, list)
}

func consistent(opts storage.ListOptions) bool {
	return opts.ResourceVersion == "" && opts.ResourceVersionMatch == "" && opts.Predicate.Continue == ""
}

// register starts a watch of the cache that misses no part of a batch.
func (s *reads) register(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	before := s.batches.applied.Load()
	w, err := s.Interface.Watch(ctx, key, opts)
	if begun := s.batches.begun.Load(); err != nil || begun == before || startsAfter(opts, begun) {
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

// startsAfter reports whether a watch delivers no events up to a revision.
func startsAfter(opts storage.ListOptions, revision uint64) bool {
	if opts.SendInitialEvents != nil && *opts.SendInitialEvents {
		return false
	}
	from, err := strconv.ParseUint(opts.ResourceVersion, 10, 64)
	return err == nil && from >= revision
}

// catchUp waits until the cache is as fresh as a watch requires. It returns options with
// which the cache registers the watch without waiting for etcd or for fresher data, since
// batches are held up meanwhile.
func (s *reads) catchUp(ctx context.Context, key string, opts storage.ListOptions) (storage.ListOptions, error) {
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
	// This waits for the cache. It does not matter whether the object exists.
	return opts, s.Interface.Get(ctx, key, storage.GetOptions{ResourceVersion: opts.ResourceVersion, IgnoreNotFound: true}, s.newFunc())
}
