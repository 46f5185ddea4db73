// Package quota decides which writes a store of limited size still accepts, and
// when to compact and defragment it. It is arithmetic only: the caller passes in
// the store's usage and the clock.
//
// The quota limits the bytes in use. Its last part is a reserve. A write that makes
// the store grow is admitted only below the reserve. A write that replaces an
// object by one of about the same size is admitted up to one reserve beyond the
// quota, because the next compaction frees the old object. Deletes are always
// admitted.
//
// The bytes in use fluctuate: a commit frees pages that the next commit reuses.
// With values of 1 MB that amounts to some megabytes, so the reserve has a minimum.
package quota

import (
	"fmt"
	"sync"
	"time"
)

const (
	// MinBytes is the smallest quota that leaves room beside the reserve.
	MinBytes = 16 << 20
	// MaxBytes is the largest quota. It limits how long a start and a
	// defragmentation take.
	MaxBytes = 64 << 30
	// DefaultBytes is the largest quota that etcd recommends.
	DefaultBytes = 8 << 30

	minReserve = 4 << 20
	maxReserve = 512 << 20

	// settleTime is the longest time until the store's size includes a write. etcd
	// commits every 100 ms.
	settleTime = time.Second
	// fullTime is how long a store counts as full after it rejected a write.
	fullTime = 15 * time.Second
)

// Usage is a store's size in bytes.
type Usage struct {
	// Size is the size of the database file. InUse excludes its free pages.
	Size, InUse int64
}

// Write describes a write to admit.
type Write struct {
	Bytes int64
	// Replaces means that the write replaces about as many bytes, or is allowed the same as one
	// that does.
	Replaces bool
	// DryRun means that nothing will be written.
	DryRun bool
}

// ExceededError means that the store has no room for a write.
type ExceededError struct {
	InUse, Quota int64
}

// Error implements error. It says what the operator can do.
func (e *ExceededError) Error() string {
	return fmt.Sprintf("the store is full: %s of %s are in use, and the rest is reserved for deletes and small updates. "+
		"Delete objects, which frees their space within a minute, or restart the server with a larger --embedded-etcd-quota-bytes (now %d)",
		Text(e.InUse), Text(e.Quota), e.Quota)
}

// Text formats a number of bytes for people, such as "1.5 KiB".
func Text(bytes int64) string {
	const unit = 1 << 10
	value, prefixes := float64(bytes), "KMGT"
	if bytes < unit {
		return fmt.Sprintf("%d B", bytes)
	}
	prefix := -1
	for value >= unit && prefix < len(prefixes)-1 {
		value /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", value, prefixes[prefix])
}

// Gate admits writes to one store. It is safe for concurrent use.
type Gate struct {
	quota, reserve int64
	usage          func() Usage
	now            func() time.Time

	mu sync.Mutex
	// ceiling limits writes that replace something.
	ceiling int64
	// recent counts the bytes admitted since the last change of the store's size,
	// before those admitted between that change and the one before it.
	recent, before int64
	changed        time.Time
	seen           Usage
	rejected       uint64
	lastRejected   time.Time
}

// NewGate returns the gate of a store with a quota in bytes. It calls usage for
// every write.
func NewGate(quota int64, usage func() Usage, now func() time.Time) *Gate {
	reserve := min(max(quota/10, minReserve), maxReserve)
	// A store that holds more than its quota still needs updates, to remove
	// finalizers for example.
	ceiling := max(quota, usage().InUse) + reserve
	return &Gate{quota: quota, reserve: reserve, ceiling: ceiling, usage: usage, now: now}
}

// Quota returns the quota in bytes.
func (g *Gate) Quota() int64 { return g.quota }

// Usage returns the store's current size.
func (g *Gate) Usage() Usage { return g.usage() }

// Rejected returns how many writes were rejected. Dry runs don't count.
func (g *Gate) Rejected() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rejected
}

// Admit counts a write as admitted, or returns an *ExceededError if there is no room
// for it.
func (g *Gate) Admit(w Write) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	usage := g.advance()
	limit := g.quota - g.reserve
	if w.Replaces {
		limit = g.ceiling
	}
	inUse := usage.InUse + g.recent + g.before
	if inUse+w.Bytes > limit {
		return &ExceededError{InUse: inUse, Quota: g.quota}
	}
	if !w.DryRun {
		g.recent += w.Bytes
	}
	return nil
}

// Reject records that a write was rejected because of Admit's error.
func (g *Gate) Reject(w Write) {
	if w.DryRun {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rejected++
	g.lastRejected = g.now()
}

// advance returns the store's size, and forgets the admitted writes that it already
// includes. The size changes with every commit. A write that was admitted just
// before a commit may have been sent after it, so it counts until the next one.
func (g *Gate) advance() Usage {
	usage, now := g.usage(), g.now()
	switch {
	case now.Sub(g.changed) >= settleTime:
		g.before, g.recent = 0, 0
	case usage != g.seen:
		g.before, g.recent = g.recent, 0
	default:
		return usage
	}
	g.changed, g.seen = now, usage
	return usage
}

// NearlyFull reports whether at least four fifths of the quota are in use.
func (g *Gate) NearlyFull() bool { return g.usage().InUse >= g.quota/5*4 }

// Full returns an *ExceededError while writes that need room are rejected.
func (g *Gate) Full() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	inUse := g.usage().InUse
	if inUse < g.quota-g.reserve && (g.lastRejected.IsZero() || g.now().Sub(g.lastRejected) > fullTime) {
		return nil
	}
	return &ExceededError{InUse: inUse, Quota: g.quota}
}
