package allocation

import (
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// dropDelay is how long a value is kept out of automatic picks after a request for it
// ended without an answer from etcd. The transaction may still be applied in that time.
// A pick after that is safe too, but more likely to conflict.
const dropDelay = time.Minute

const (
	// shrinkFactor is how many times as many claims there were when a map of claims shrinks.
	shrinkFactor = 8
	// minShrink is the least number of claims that a map had before it shrinks.
	minShrink = 10_000
)

// Claim is the claim on a value at one revision.
type Claim struct {
	// Holder is the claim's parent reference, zero if it has none. Only the holder
	// of a Service's claim has a UID; a reservation has none. If several Services hold the
	// value, it is the first of them.
	Holder v1.ParentReference
	// Revision is the etcd ModRevision of the claim.
	Revision int64
	// Shared has all holders of a value that several Services can hold. It is nil for
	// other values, and for reservations. It is never modified.
	Shared *v1.LoadBalancerIPSpec
	// Terms are those of a reservation. They are nil for a claim that a Service holds.
	Terms *Terms
}

// Index holds the ranges, claims and picks of all classes. It is safe for concurrent
// use.
type Index struct {
	pools [classes]pool
	now   func() time.Time
}

// New makes an empty index. It uses the clock for DropLater and for reservations that expire.
func New(now func() time.Time) *Index {
	index := &Index{now: now}
	for class := range index.pools {
		p := &index.pools[class]
		p.space = space.NewSpace()
		p.claims = map[space.Number]Claim{}
		p.sharing = map[string]map[space.Number]bool{}
		p.reserved = map[types.NamespacedName][]space.Number{}
		p.expiring = sets.Set[space.Number]{}
		p.uses = newUses()
		p.released = map[space.Number]int64{}
		p.picked = map[space.Number]uint64{}
		p.ranges = map[string]*rangeState{}
		p.random = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
		p.selection.Store(newSelection(nil))
	}
	return index
}

// pool is the part of the index for one class.
type pool struct {
	mu sync.Mutex
	// space has the values that can't be picked: the union of claims, picked and uses.
	space  *space.Space
	claims map[space.Number]Claim
	// most is the largest number of claims since the map was made.
	most int
	// sharing has the values that are shared under each key.
	sharing map[string]map[space.Number]bool
	// reserved has the claims that are reserved for each Service, sorted.
	reserved map[types.NamespacedName][]space.Number
	// services is the number of Services in reserved. It is read without the lock.
	services atomic.Int64
	// expiring are the claims that are reserved for a time.
	expiring sets.Set[space.Number]
	// uses are the values that Services use and do not claim.
	uses uses
	// released has the revisions at which this replica released values, until the
	// watch delivers the deletions: it may still deliver earlier events of the claims.
	released map[space.Number]int64
	// picked numbers the picks from 1. A value that was claimed and released can be
	// picked again before the delayed drop of the first pick.
	picked map[space.Number]uint64
	// observed is the revision that the watch has reached.
	observed int64
	picks    uint64
	delayed  []delayedDrop
	ranges   map[string]*rangeState
	// sorted are the ranges that exist, by name.
	sorted []*rangeState
	// selection follows from sorted. It is read without the lock.
	selection atomic.Pointer[selection]
	random    *rand.Rand
}

// delayedDrop is the drop of a pick that may have been claimed.
type delayedDrop struct {
	number space.Number
	pick   uint64
	due    time.Time
}

// Observe records the claim on a value.
func (x *Index) Observe(value Value, claim Claim) {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.observe(value.Number, claim)
}

func (p *pool) observe(number space.Number, claim Claim) {
	if p.released[number] >= claim.Revision {
		return
	}
	// The watch has delivered every event of this claim, its deletion included.
	if _, exists := p.claims[number]; !exists && claim.Revision < p.observed {
		return
	}
	delete(p.released, number)
	known, exists := p.claims[number]
	if exists && known.Revision >= claim.Revision {
		return
	}
	p.forgetSharing(number, known)
	p.unreserve(number, known)
	p.claims[number] = claim
	p.most = max(p.most, len(p.claims))
	p.recordSharing(number, claim)
	p.reserve(number, claim)
	delete(p.picked, number)
	p.space.Take(number)
	if !exists {
		p.count(number, 1)
	}
}

// Released records, ahead of the watch, that a transaction of this replica released a
// value at the given revision.
func (x *Index) Released(value Value, revision int64) {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(value.Number, revision)
	p.released[value.Number] = max(p.released[value.Number], revision)
}

// ObserveRevision records that the watch has delivered all events of a class before the
// revision, and at least one at it: a revision can have several events. Observe then
// ignores claims that are older and not in the index, as they have been deleted.
func (x *Index) ObserveRevision(class Class, revision int64) {
	p := &x.pools[class]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.observed = max(p.observed, revision)
}

// Revision returns the revision that the watch has reached, as recorded by
// ObserveRevision and Replace.
func (x *Index) Revision(class Class) int64 {
	p := &x.pools[class]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.observed
}

// Absent records that there was no claim on a value at the given revision.
func (x *Index) Absent(value Value, revision int64) {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(value.Number, revision)
	if p.released[value.Number] <= revision {
		delete(p.released, value.Number)
	}
}

func (p *pool) forget(number space.Number, revision int64) {
	known, exists := p.claims[number]
	if !exists || known.Revision > revision {
		return
	}
	p.unreserve(number, known)
	delete(p.claims, number)
	p.shrink()
	p.forgetSharing(number, known)
	p.count(number, -1)
	p.makeFree(number)
}

// shrink copies the claims into a smaller map when most of them are gone, because a map
// keeps the memory of what is deleted. A copy of a claim is paid for by several deletions.
func (p *pool) shrink() {
	if p.most < minShrink || len(p.claims) > p.most/shrinkFactor {
		return
	}
	p.most = len(p.claims)
	smaller := make(map[space.Number]Claim, p.most)
	maps.Copy(smaller, p.claims)
	p.claims = smaller
}

// makeFree makes a number available for picks unless it is claimed, picked or used.
func (p *pool) makeFree(number space.Number) {
	if _, claimed := p.claims[number]; !claimed && p.picked[number] == 0 && len(p.uses.of[number]) == 0 {
		p.space.Release(number)
	}
}

// Replace sets the claims of the given classes to those of a list at the given
// revision. It keeps facts that are newer than the list.
func (x *Index) Replace(listed map[Value]Claim, revision int64, of ...Class) {
	for _, class := range of {
		p := &x.pools[class]
		p.mu.Lock()
		for number, known := range p.claims {
			if _, still := listed[Value{class, number}]; !still && known.Revision <= revision {
				p.forget(number, revision)
			}
		}
		for number, released := range p.released {
			if released <= revision {
				delete(p.released, number)
			}
		}
		for value, claim := range listed {
			if value.Class == class {
				p.observe(value.Number, claim)
			}
		}
		p.observed = max(p.observed, revision)
		p.mu.Unlock()
	}
}

// Lookup returns the claim on a value, as far as this replica knows.
func (x *Index) Lookup(value Value) (Claim, bool) {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	claim, exists := p.claims[value.Number]
	return claim, exists
}

// Pick chooses a free value of the class for a Service. No other pick gets the value until
// it is claimed and released again, dropped, or, after DropLater, its time is over. The error is
// an *ExhaustedError.
//
// A Service with a sharing key gets a value that it can share, if there is one. Other picks
// can get the same one.
func (x *Index) Pick(class Class, who Requester) (Value, error) {
	p := &x.pools[class]
	selection := p.selection.Load()
	tiers := selection.tiers(who)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropDue(x.now())
	if number, ok := p.shareable(tiers, who.Share); ok {
		return Value{class, number}, nil
	}
	for _, t := range tiers {
		if number, ok := p.space.Pick(t.spans, p.random); ok {
			p.space.Take(number)
			p.picks++
			p.picked[number] = p.picks
			return Value{class, number}, nil
		}
	}
	return Value{}, &ExhaustedError{
		Class: class, Ranges: p.tierUsage(tiers), InProgress: p.inProgress(tiers), Unclaimed: p.unclaimed(tiers),
		Passed: selection.passed(who, tiers),
	}
}

// Drop returns a picked value that was definitely not claimed.
func (x *Index) Drop(value Value) {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(value.Number)
}

func (p *pool) drop(number space.Number) {
	if p.picked[number] != 0 {
		delete(p.picked, number)
		p.makeFree(number)
	}
}

// DropLater returns a picked value that may have been claimed: the request for it timed
// out or was canceled. Other picks don't get it for a minute, unless the watch reports
// its claim first.
func (x *Index) DropLater(value Value) {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	if pick := p.picked[value.Number]; pick != 0 {
		p.delayed = append(p.delayed, delayedDrop{value.Number, pick, x.now().Add(dropDelay)})
	}
}

// dropDue carries out the delayed drops that are due, unless the value was claimed and
// picked again since.
func (p *pool) dropDue(now time.Time) {
	for len(p.delayed) > 0 && p.delayed[0].due.Before(now) {
		if d := p.delayed[0]; p.picked[d.number] == d.pick {
			p.drop(d.number)
		}
		p.delayed = p.delayed[1:]
	}
}
