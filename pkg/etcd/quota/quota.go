// Package quota decides what a store of limited size still accepts, and when its
// file needs compaction or defragmentation. It is arithmetic only: it knows no
// etcd and no clock but the ones it is given.
//
// The quota limits the bytes in use. The last part of it is a reserve. A write
// that makes the store grow is admitted below the reserve only. One that
// replaces an object by another of about the same size is admitted beyond the
// quota by as much as the reserve, since what it replaces is freed by the next
// compaction. Deletes are not asked about.
//
// The bytes in use go up and down: a commit frees pages that the next one finds.
// With values of 1 MB that is some megabytes, which is why the reserve has a
// minimum.
package quota

import (
	"fmt"
	"sync"
	"time"
)

const (
	// MinBytes is the smallest quota that leaves room for more than the reserve.
	MinBytes = 16 << 20
	// MaxBytes bounds the time that a start and a defragmentation take.
	MaxBytes = 64 << 30
	// DefaultBytes is the largest that etcd recommends.
	DefaultBytes = 8 << 30

	minReserve = 4 << 20
	maxReserve = 512 << 20

	// settled is how long after a write the store's size includes it at the latest.
	// etcd commits every 100 ms.
	settled = time.Second
	// fullFor is how long a store counts as full after it rejected a write.
	fullFor = 15 * time.Second
)

// Usage is how large a store is.
type Usage struct {
	// Size is that of the database file. InUse is the part of it that is not
	// free pages.
	Size, InUse int64
}

// Write is what is to be written.
type Write struct {
	Bytes int64
	// Replaces says that it takes the place of about as many bytes.
	Replaces bool
	// DryRun says that it is not going to be written.
	DryRun bool
}

// FullError says that a write has no room.
type FullError struct {
	InUse, Quota int64
}

// Error says what to do.
func (e *FullError) Error() string {
	return fmt.Sprintf("the store is full: %s of %s are in use, and the rest is reserved for deletes and small updates. "+
		"Delete objects, which frees their space within a minute, or restart the server with a larger --embedded-etcd-quota-bytes (now %d)",
		Text(e.InUse), Text(e.Quota), e.Quota)
}

// Text is a number of bytes as people read it.
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
	// ceiling is the limit of writes that replace something.
	ceiling int64
	// recent and before are the bytes admitted since the store's size changed last,
	// and between that and the time before.
	recent, before int64
	changed        time.Time
	seen           Usage
	rejected       uint64
	lastRejected   time.Time
}

// NewGate makes the gate of a store with the given quota. Usage is asked on every
// write.
func NewGate(quota int64, usage func() Usage, now func() time.Time) *Gate {
	reserve := min(max(quota/10, minReserve), maxReserve)
	// A store that holds more than its quota still needs updates, to remove
	// finalizers for example.
	ceiling := max(quota, usage().InUse) + reserve
	return &Gate{quota: quota, reserve: reserve, ceiling: ceiling, usage: usage, now: now}
}

// Quota is the limit.
func (g *Gate) Quota() int64 { return g.quota }

// Usage is how large the store is now.
func (g *Gate) Usage() Usage { return g.usage() }

// Rejected counts the writes that were rejected, dry runs left out.
func (g *Gate) Rejected() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rejected
}

// Admit takes note of a write, or returns a *FullError.
func (g *Gate) Admit(w Write) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	usage := g.turn()
	limit := g.quota - g.reserve
	if w.Replaces {
		limit = g.ceiling
	}
	inUse := usage.InUse + g.recent + g.before
	if inUse+w.Bytes > limit {
		return &FullError{InUse: inUse, Quota: g.quota}
	}
	if !w.DryRun {
		g.recent += w.Bytes
	}
	return nil
}

// Reject takes note that a write was rejected for what Admit said.
func (g *Gate) Reject(w Write) {
	if w.DryRun {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rejected++
	g.lastRejected = g.now()
}

// turn forgets what was admitted so long ago that the store's size includes it.
// The size changes with every commit. A write may have been admitted just before
// one and sent after it, so it is remembered until the next.
func (g *Gate) turn() Usage {
	usage, now := g.usage(), g.now()
	switch {
	case now.Sub(g.changed) >= settled:
		g.before, g.recent = 0, 0
	case usage != g.seen:
		g.before, g.recent = g.recent, 0
	default:
		return usage
	}
	g.changed, g.seen = now, usage
	return usage
}

// Full returns a *FullError while writes that need room are rejected.
func (g *Gate) Full() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	inUse := g.usage().InUse
	if inUse < g.quota-g.reserve && (g.lastRejected.IsZero() || g.now().Sub(g.lastRejected) > fullFor) {
		return nil
	}
	return &FullError{InUse: inUse, Quota: g.quota}
}
