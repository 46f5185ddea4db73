package atomicwatch

import (
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// maxRevisions is more batches than a watch cache has events of.
	maxRevisions = 100_000
	// minCacheEvents is how many events a watch cache keeps at least.
	minCacheEvents = 100
)

// tracker tracks which batches a watch cache has applied and is applying.
type tracker struct {
	// applying is locked for writing while a batch is applied.
	applying sync.RWMutex
	// begun and applied are the revisions of the last batch that the cache began and
	// finished to apply. They differ while it applies one.
	begun, applied atomic.Uint64

	mu sync.Mutex
	// listed is the revision at which the cache was filled. The cache has no events up to
	// it, and which of those revisions were batches is unknown.
	listed uint64
	// last is the last revision that was delivered to the cache, and events is the number
	// of events that were delivered since listed.
	last   uint64
	events int
	// revisions are those of the last batches, ascending.
	revisions []uint64
}

// apply marks the batch of a revision as being applied while send hands it to the cache.
func (t *tracker) apply(revision uint64, send func()) {
	t.applying.Lock()
	defer t.applying.Unlock()
	t.record(revision)
	t.begun.Store(revision)
	send()
	t.applied.Store(revision)
}

func (t *tracker) record(revision uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.revisions) >= maxRevisions {
		// Forgotten revisions count as batches: see mayBeBatch.
		t.listed = max(t.listed, t.revisions[maxRevisions/2-1])
		t.revisions = slices.Clone(t.revisions[maxRevisions/2:])
	}
	t.revisions = append(t.revisions, revision)
}

// filled records that the cache was filled anew at a revision.
func (t *tracker) filled(revision uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listed, t.last, t.events = revision, max(t.last, revision), 0
}

// delivered records that the cache gets an event, or a bookmark.
func (t *tracker) delivered(revision uint64, bookmark bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = max(t.last, revision)
	if !bookmark {
		t.events++
	}
}

// wait returns when no batch is being applied.
func (t *tracker) wait() {
	t.applying.RLock()
	defer t.applying.RUnlock()
}

// mayBePartial reports whether the result of a read at a revision may show part of a
// batch. before is what applied was when the read began.
func (t *tracker) mayBePartial(before, revision uint64) bool {
	return before < revision && revision <= t.begun.Load()
}

// mayBeBatch reports whether a delivered revision may be a batch: it was one, or it is
// too old to tell.
func (t *tracker) mayBeBatch(revision uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mayBeBatchLocked(revision)
}

func (t *tracker) mayBeBatchLocked(revision uint64) bool {
	_, batch := slices.BinarySearch(t.revisions, revision)
	return batch || revision <= t.listed
}

// isSingle reports whether a revision is known not to be a batch.
func (t *tracker) isSingle(revision uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return revision <= t.last && !t.mayBeBatchLocked(revision)
}

// completeSince reports whether the cache has all events after a revision at which, or
// right before which, it was filled.
func (t *tracker) completeSince(revision uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return (revision == t.listed || revision == t.listed+1) && t.events <= minCacheEvents
}
