package quota

import "time"

const (
	// A store that is nearly full keeps a minute of history, and one that is full
	// ten seconds, in the place of the five minutes of --etcd-compaction-interval.
	nearlyFullHistory = time.Minute
	fullHistory       = 10 * time.Second

	// A defragmentation of this much takes well under a second, and is not worth
	// waiting for a quiet moment.
	quickBytes = 64 << 20
	// One of more than this takes longer than requests wait. Free pages are used
	// again, so it is done only if the file is larger than the quota.
	slowBytes = 1 << 30
	// quietRevisions in ten seconds are about what an idle server writes: its
	// leases and what controllers report.
	quietRevisions = 50
	quietFor       = 10 * time.Second
	// A file is not defragmented for less than this.
	minFree = 16 << 20
	// defragmentEvery bounds how often requests have to wait. It is longer by a
	// second for each pauseBytes in use, which keeps the waiting to a twentieth of
	// the time where 100 MiB take a second.
	defragmentEvery = 15 * time.Second
	pauseBytes      = 5 << 20
)

// Upkeep decides when a store is compacted and defragmented. It is not safe for
// concurrent use.
type Upkeep struct {
	gate *Gate
	// past are the revisions that the store had, the oldest first.
	past        []moment
	compacted   int64
	lastCompact time.Time
	lastDefrag  time.Time
}

type moment struct {
	at       time.Time
	revision int64
}

// Task is what is to be done with a store now.
type Task struct {
	// Compact is the revision up to which history goes; 0 leaves it.
	Compact int64
	// Defragment says that the file is to be written anew.
	Defragment bool
}

// NewUpkeep makes the upkeep of a gate's store that was opened at a revision. A
// store that is full then gives up the history of before: nobody watches yet.
func NewUpkeep(gate *Gate, revision int64) *Upkeep {
	return &Upkeep{gate: gate, past: []moment{{revision: revision}}}
}

// Next is called about every second with the store's revision, and says what is
// to be done. What it says counts as done.
func (u *Upkeep) Next(revision int64) Task {
	now := u.gate.now()
	u.past = append(u.past, moment{now, revision})
	for len(u.past) > 1 && now.Sub(u.past[1].at) >= nearlyFullHistory {
		u.past = u.past[1:]
	}
	return Task{Compact: u.compact(now), Defragment: u.defragment(now, revision)}
}

func (u *Upkeep) compact(now time.Time) int64 {
	usage := u.gate.Usage()
	history := fullHistory
	if u.gate.Full() == nil {
		if usage.InUse < u.gate.quota/5*4 {
			return 0
		}
		history = nearlyFullHistory
	}
	if now.Sub(u.lastCompact) < history/2 {
		return 0
	}
	revision := u.revisionAt(now.Add(-history))
	if revision <= u.compacted {
		return 0
	}
	u.compacted, u.lastCompact = revision, now
	return revision
}

// revisionAt is the newest revision known to be of a time or before it, 0 if
// there is none.
func (u *Upkeep) revisionAt(at time.Time) (revision int64) {
	for _, past := range u.past {
		if past.at.After(at) {
			break
		}
		revision = past.revision
	}
	return revision
}

func (u *Upkeep) defragment(now time.Time, revision int64) bool {
	usage := u.gate.Usage()
	if now.Sub(u.lastDefrag) < defragmentEvery+time.Duration(usage.InUse/pauseBytes)*time.Second {
		return false
	}
	free := usage.Size - usage.InUse
	if free < min(minFree, u.gate.quota/8) {
		return false
	}
	before := u.revisionAt(now.Add(-quietFor))
	quiet := before > 0 && revision-before <= quietRevisions
	overQuota := usage.Size > u.gate.quota && free >= u.gate.quota/8
	if !overQuota && (free < usage.Size/2 || usage.InUse > slowBytes || usage.InUse > quickBytes && !quiet) {
		return false
	}
	u.lastDefrag = now
	return true
}
