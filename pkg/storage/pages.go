package storage

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/lru"
)

const (
	// longRest is how many pages are left of a list whose next page costs less to read and
	// decode than to take from a snapshot.
	longRest = 100
	// longLists is how many such lists can be read at once.
	longLists = 1000
)

// pages reads the next pages of long lists from etcd. For each page, the watch cache copies
// a pointer to every object that is left in its snapshot, so that a list takes a time that
// grows with the square of its length. The embedded etcd reads a page and nothing else.
type pages struct {
	// Interface is the watch cache.
	storage.Interface
	// uncached reads from etcd.
	uncached storage.Interface
	// long has the continue tokens of lists of which more than longRest pages are left.
	long *lru.Cache
}

func newPages(cached, uncached storage.Interface) *pages {
	return &pages{Interface: cached, uncached: uncached, long: lru.New(longLists)}
}

// GetList implements storage.Interface.
func (p *pages) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	source := p.Interface
	if token := opts.Predicate.Continue; token != "" {
		if _, ok := p.long.Get(token); ok {
			source = p.uncached
		}
	}
	if err := source.GetList(ctx, key, opts, list); err != nil || opts.Predicate.Limit == 0 {
		return err
	}
	accessor, err := meta.ListAccessor(list)
	if err != nil {
		return err
	}
	if rest := accessor.GetRemainingItemCount(); rest != nil && *rest > longRest*opts.Predicate.Limit {
		p.long.Add(accessor.GetContinue(), nil)
	}
	return nil
}
