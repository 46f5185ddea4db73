// Package memory sets the pace of the garbage collector, and returns memory to the
// operating system when the server has nothing to do.
//
// Go's collector lets the heap grow by a percentage of what is in use. A server with little
// in use then collects all the time, and one with much in use holds a multiple of it. The
// pace here is a number of bytes: what may become garbage between two collections is the
// larger of minGarbage and a share of what is in use.
//
// After a burst the heap stays as large as it was, since the collector runs only when the
// heap grows. A quiet process with much garbage is therefore collected once, and all free
// memory returned. The first time that is soon after the start.
//
// GOGC turns the pace off. GOMEMLIMIT stays in effect.
package memory

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	mib = 1 << 20

	// minGarbage is what may become garbage between two collections at least.
	minGarbage = 128 * mib
	// minPercent bounds the share of CPU time that collections of a large heap take.
	minPercent = 75
	// maxPercent keeps the first collections from coming too late to see the heap grow.
	maxPercent = 400

	// interval is how often the pace is adapted to what is in use.
	interval = time.Second
	// quietRate is the most that a quiet process allocates in an interval. Probes,
	// renewals of leases and the like take less.
	quietRate = 2 * mib
	// quietTime is how long a process must be quiet before memory is returned.
	quietTime = 30 * time.Second
	// startTime is the same for the first time: a start leaves much garbage, and there may be
	// little to do after it.
	startTime = 3 * time.Second
	// minReturn is the least that is worth a collection of a quiet process.
	minReturn = 24 * mib
)

// Keep sets the pace until the context ends. paced is false if the pace is the user's.
func Keep(ctx context.Context, paced bool) {
	k := newKeeper()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		s := k.read()
		if percent := percentFor(s.live); paced && percent != k.percent {
			debug.SetGCPercent(percent)
			k.percent = percent
		}
		if k.mayReturn(s) {
			debug.FreeOSMemory()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// percentFor returns the percentage for a number of bytes in use. It is rounded, because
// each change of the collector's setting stops the program for a moment.
func percentFor(live uint64) int {
	percent := maxPercent
	if live > 0 {
		percent = int(min(minGarbage*100/live, maxPercent))
	}
	return max(percent/25*25, minPercent)
}

// sample is the state of the heap, in bytes.
type sample struct {
	// live is what the last collection found in use.
	live uint64
	// allocated is the total that was allocated since the start.
	allocated uint64
	// held is what the heap holds of the operating system's memory.
	held uint64
}

// keeper decides when to return memory.
type keeper struct {
	samples   []metrics.Sample
	percent   int
	allocated uint64
	// quiet is how long the process has been quiet, and patience how long it must be.
	quiet, patience time.Duration
}

// The names of metrics are those of package runtime/metrics.
var heapMetrics = [...]string{
	"/gc/heap/live:bytes", "/gc/heap/allocs:bytes",
	"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes",
}

func newKeeper() *keeper {
	k := &keeper{patience: startTime}
	for _, name := range heapMetrics {
		k.samples = append(k.samples, metrics.Sample{Name: name})
	}
	return k
}

func (k *keeper) read() sample {
	metrics.Read(k.samples)
	value := func(n int) uint64 { return k.samples[n].Value.Uint64() }
	return sample{live: value(0), allocated: value(1), held: value(2) + value(3) + value(4)}
}

// mayReturn reports whether the process has been quiet for long enough, and holds so much
// more than it uses that a collection pays.
func (k *keeper) mayReturn(s sample) bool {
	if s.allocated-k.allocated > quietRate {
		k.quiet = 0
	} else {
		k.quiet += interval
	}
	k.allocated = s.allocated
	if k.quiet < k.patience || s.held < s.live+max(minReturn, s.live/4) {
		return false
	}
	k.quiet, k.patience = 0, quietTime
	return true
}
