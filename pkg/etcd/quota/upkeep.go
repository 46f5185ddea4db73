package quota

import "time"

const (
	// A nearly full store keeps a minute of history, and a full one ten seconds,
	// instead of the five minutes of --etcd-compaction-interval.
	nearlyFullHistory = time.Minute
	fullHistory       = 10 * time.Second

	// quickBytes in use are defragmented in well under a second, so it isn't worth
	// waiting for a quiet moment.
	quickBytes = 64 << 20
	// More than slowBytes in use take longer to defragment than requests wait. etcd
	// reuses free pages, so that is done only if the file exceeds the quota, and only
	// in a quiet moment.
	slowBytes = 1 << 30
	// quietRevisions is about what an idle server writes in quietTime: its leases and
	// the controllers' reports.
	quietRevisions = 50
	quietTime      = 10 * time.Second
	// minFree is the least number of free bytes that is worth a defragmentation.
	minFree = 16 << 20
	// defragmentPeriod limits how often requests have to wait. It grows by a second
	// for each pauseBytes in use: where defragmenting 100 MiB takes a second, requests
	// wait at most a twentieth of the time.
	defragmentPeriod = 15 * time.Second
	pauseBytes       = 5 << 20
)

// Upkeep decides when a store is compacted and defragmented. It is not safe for
// concurrent use.
type Upkeep struct {
	gate *Gate
	// past holds the store's recent revisions, the oldest first.
	past        []moment
	compacted   int64
	lastCompact time.Time
	lastDefrag  time.Time
}

type moment struct {
	at       time.Time
	revision int64
}

// Task is the work that a store needs now.
type Task struct {
	// Compact is the revision up to which to drop history; 0 means none.
	Compact int64
	// Defragment means that the file should be rewritten.
	Defragment bool
}

// NewUpkeep returns the upkeep of a gate's store that was opened at a revision. If
// the store is full then, its first compaction drops all earlier history, because
// no client watches yet.
func NewUpkeep(gate *Gate, revision int64) *Upkeep {
	return &Upkeep{gate: gate, past: []moment{{revision: revision}}}
}

// Next returns the work to do now and counts it as done. It must be called about
// every second, with the store's revision.
func (u *Upkeep) Next(revision int64) Task {
	now := u.gate.now()
	u.past = append(u.past, moment{now, revision})
	for len(u.past) > 1 && now.Sub(u.past[1].at) >= nearlyFullHistory {
		u.past = u.past[1:]
	}
	return Task{Compact: u.compact(now), Defragment: u.defragment(now, revision)}
}

func (u *Upkeep) compact(now time.Time) int64 {
	history := fullHistory
	if u.gate.Full() == nil {
		if !u.gate.NearlyFull() {
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

// revisionAt returns the newest recorded revision from time at or earlier, or 0 if
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
	if now.Sub(u.lastDefrag) < defragmentPeriod+time.Duration(usage.InUse/pauseBytes)*time.Second {
		return false
	}
	free := usage.Size - usage.InUse
	if free < min(minFree, u.gate.quota/8) {
		return false
	}
	before := u.revisionAt(now.Add(-quietTime))
	quiet := before > 0 && revision-before <= quietRevisions
	worthwhile := free >= usage.Size/2 && usage.InUse <= slowBytes && (usage.InUse <= quickBytes || quiet)
	overQuota := usage.Size > u.gate.quota && free >= u.gate.quota/8 && (usage.InUse <= slowBytes || quiet)
	if !worthwhile && !overQuota {
		return false
	}
	u.lastDefrag = now
	return true
}
