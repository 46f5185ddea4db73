package atomicwatch

import (
	"context"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// batchSizes are the sizes of the batches that a watch on etcd has received and that
// have not been taken yet, by revision.
type batchSizes struct {
	mu    sync.Mutex
	sizes map[uint64]int
}

// record relies on etcd never splitting the events of a revision between two responses,
// whether or not the watch lags behind. It does so only for a watch that asks for
// fragments, which etcd's client puts together. See eventBatch.add in etcd's
// server/storage/mvcc/watcher_group.go.
func (s *batchSizes) record(events []*clientv3.Event) {
	for len(events) > 0 {
		revision, n := events[0].Kv.ModRevision, 1
		for n < len(events) && events[n].Kv.ModRevision == revision {
			n++
		}
		if n > 1 {
			s.mu.Lock()
			s.sizes[uint64(revision)] = n
			s.mu.Unlock()
		}
		events = events[n:]
	}
}

// take returns the size of the batch of a revision, once. It returns 0 if the revision
// is no batch.
func (s *batchSizes) take(revision uint64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.sizes[revision]
	delete(s.sizes, revision)
	return n
}

type batchSizesKey struct{}

// withBatchSizes makes a watch in the returned context record batches, if it watches
// through CountBatches.
func withBatchSizes(ctx context.Context) (context.Context, *batchSizes) {
	sizes := &batchSizes{sizes: map[uint64]int{}}
	return context.WithValue(ctx, batchSizesKey{}, sizes), sizes
}

// CountBatches returns a watcher that counts the events of each revision for the layers
// of Around.
func CountBatches(inner clientv3.Watcher) clientv3.Watcher { return batchCounter{inner} }

type batchCounter struct{ clientv3.Watcher }

// Watch implements clientv3.Watcher. It records the batches of each response before it
// passes the response on.
func (c batchCounter) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	responses := c.Watcher.Watch(ctx, key, opts...)
	sizes, ok := ctx.Value(batchSizesKey{}).(*batchSizes)
	if !ok {
		return responses
	}
	counted := make(chan clientv3.WatchResponse)
	go func() {
		defer close(counted)
		for response := range responses {
			sizes.record(response.Events)
			select {
			case counted <- response:
			case <-ctx.Done():
				return
			}
		}
	}()
	return counted
}
