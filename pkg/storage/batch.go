package storage

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/portolan-dev/portolan/pkg/txn"
)

// batches follows a watch cache as it applies batches. A batch is what one
// transaction changes among the objects of one resource, if that is more than
// one object: the claims of a Service, or the slices that go with it.
//
// The watch cache was made for stores in which each change has a revision of its
// own. It applies a batch event by event and calls itself up to date with the
// first. What is read of it until the last says the batch's revision and shows a
// part of the batch, and a watch that is registered until then never tells of
// the rest: of its first events and those that follow, it drops what is not
// newer than the last of the first.
//
// So the layer below the cache (batchMarker) marks when a batch is applied, and
// the layer above (wholeBatches) reads again what was read just then.
//
// A watch can end between two events of a batch: the connection breaks, or the
// cache ends the watch because the client is too slow, as it does under load. The
// client watches again from their revision, and has no other way to say how far
// it got. So a watch that starts at the revision of a batch tells of the whole
// batch again.
type batches struct {
	// applying is held for writing while a batch is applied.
	applying sync.RWMutex
	// begun and applied are the revisions of the last batch whose application has
	// begun and ended. They differ while one is applied.
	begun, applied atomic.Uint64

	mu sync.Mutex
	// listed is the revision that the watch cache was filled at. Of what was written
	// up to then, it has no events, and nobody knows what was a batch.
	listed uint64
	// last is the last revision that the watch cache was told of, and events is of
	// how many events, since listed.
	last   uint64
	events int
	// revisions are those of the last batches, ascending.
	revisions []uint64
}

// maxRevisions is more batches than a watch cache has events of.
const maxRevisions = 100_000

// apply marks the batch of a revision as being applied while send hands it to
// the cache.
func (b *batches) apply(revision uint64, send func()) {
	b.applying.Lock()
	defer b.applying.Unlock()
	b.record(revision)
	b.begun.Store(revision)
	send()
	b.applied.Store(revision)
}

func (b *batches) record(revision uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.revisions) >= maxRevisions {
		// What is forgotten counts as a batch: see maybeBatch.
		b.listed = max(b.listed, b.revisions[maxRevisions/2-1])
		b.revisions = slices.Clone(b.revisions[maxRevisions/2:])
	}
	b.revisions = append(b.revisions, revision)
}

// fill notes that the watch cache begins anew at a revision.
func (b *batches) fill(revision uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listed, b.last, b.events = revision, max(b.last, revision), 0
}

// tell notes that the watch cache is told of an event, or that there is none up
// to a revision.
func (b *batches) tell(revision uint64, bookmark bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = max(b.last, revision)
	if !bookmark {
		b.events++
	}
}

// wait returns when no batch is being applied.
func (b *batches) wait() {
	b.applying.RLock()
	defer b.applying.RUnlock()
}

// maybePart says whether what was read at a revision may show a part of a batch.
// Before is what applied was when the reading began.
func (b *batches) maybePart(before, revision uint64) bool {
	return before < revision && revision <= b.begun.Load()
}

// maybeBatch says whether a batch may have been written at a revision of which
// the watch cache has been told: one was, or it is too long ago to tell.
func (b *batches) maybeBatch(revision uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.maybeBatchLocked(revision)
}

func (b *batches) maybeBatchLocked(revision uint64) bool {
	_, batch := slices.BinarySearch(b.revisions, revision)
	return batch || revision <= b.listed
}

// single says whether it is certain that no batch was written at a revision.
func (b *batches) single(revision uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return revision <= b.last && !b.maybeBatchLocked(revision)
}

// completeSince says whether the watch cache has all events after a revision at
// which, or right before which, it was filled.
func (b *batches) completeSince(revision uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return (revision == b.listed || revision == b.listed+1) && b.events <= minCacheEvents
}

// minCacheEvents are how many events a watch cache keeps at least.
const minCacheEvents = 100

// batchSizes are the sizes of the batches that a watch on etcd has told of and
// that have not been taken yet, by revision.
type batchSizes struct {
	mu    sync.Mutex
	sizes map[uint64]int
}

// record relies on etcd never splitting the events of a revision between two
// responses, to watches that lag behind neither, unless a watch asks for
// fragments, and then its client puts them together. See eventBatch.add in
// etcd's server/storage/mvcc/watcher_group.go.
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

// take is the size of the batch of a revision, 0 if it has none, or if it has
// been taken.
func (s *batchSizes) take(revision uint64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.sizes[revision]
	delete(s.sizes, revision)
	return n
}

type batchSizesKey struct{}

// withBatchSizes makes a watch in the returned context record batches, if it is
// on a client of countBatches.
func withBatchSizes(ctx context.Context) (context.Context, *batchSizes) {
	sizes := &batchSizes{sizes: map[uint64]int{}}
	return context.WithValue(ctx, batchSizesKey{}, sizes), sizes
}

// countBatches returns a client like the given one for withBatchSizes. A Client
// can't be copied as a whole; what a store uses of one is this.
func countBatches(client *clientv3.Client) *clientv3.Client {
	counting := clientv3.NewCtxClient(client.Ctx())
	counting.Cluster, counting.KV, counting.Lease = client.Cluster, client.KV, txn.Lease(client.Lease)
	counting.Auth, counting.Maintenance = client.Auth, client.Maintenance
	counting.Watcher = batchCounter{client.Watcher}
	return counting
}

type batchCounter struct{ clientv3.Watcher }

// Watch records the batches of each response before it passes the response on.
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
