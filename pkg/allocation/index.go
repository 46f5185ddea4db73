package allocation

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// doubtPeriod is how long a value is kept out of automatic picks after a
// request for it ended without an answer from etcd. The transaction may still
// be applied in that time; afterwards a pick of it is no risk either, only
// likelier to lose its race.
const doubtPeriod = time.Minute

// Claim is a fact about who holds a value.
type Claim struct {
	// UID of the Service that holds the value; empty for a reservation made by
	// hand.
	UID string
	// Holder for people to read, e.g. "services/default/web".
	Holder string
	// Revision is the etcd ModRevision of the claim.
	Revision int64
}

// Index is safe for concurrent use.
type Index struct {
	pools [classes]pool
	now   func() time.Time
}

// New makes an index that knows of nothing. The clock serves only to end
// doubts; see Doubt.
func New(now func() time.Time) *Index {
	index := &Index{now: now}
	for class := range index.pools {
		index.pools[class] = pool{
			space:    space.NewSpace(),
			claims:   map[space.Number]Claim{},
			released: map[space.Number]int64{},
			picked:   map[space.Number]uint64{},
			ranges:   map[string]*rangeState{},
			random:   rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		}
	}
	return index
}

// pool is the picture of one class of values.
type pool struct {
	mu sync.Mutex
	// space is what can't be picked: the union of claims and picked.
	space  *space.Space
	claims map[space.Number]Claim
	// released remembers what this replica released and when, until the watch
	// says so too: the watch may still deliver news of the claim's life.
	released map[space.Number]int64
	// picked numbers each pick from 1: a value that was claimed and released in
	// between can be picked again while there is a doubt about the first pick.
	picked map[space.Number]uint64
	// told is the revision that the watch has come to.
	told   int64
	picks  uint64
	doubts []doubt
	ranges map[string]*rangeState
	// sorted are the ranges that are there, by name.
	sorted []*rangeState
	// automatic are the spans that automatic picks come from.
	automatic []space.Span
	random    *rand.Rand
}

type doubt struct {
	number space.Number
	pick   uint64
	until  time.Time
}

// Observe takes note that a value was claimed.
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
	// The watch has told of this claim's life up to here, and of its end.
	if _, exists := p.claims[number]; !exists && claim.Revision < p.told {
		return
	}
	delete(p.released, number)
	known, exists := p.claims[number]
	if exists && known.Revision >= claim.Revision {
		return
	}
	p.claims[number] = claim
	delete(p.picked, number)
	p.space.Take(number)
	if !exists {
		p.count(number, 1)
	}
}

// Released takes note that this replica's own transaction at the given
// revision released a value, ahead of the watch.
func (x *Index) Released(value Value, revision int64) {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(value.Number, revision)
	p.released[value.Number] = max(p.released[value.Number], revision)
}

// Told takes note that the watch has come to a revision, and has told everything
// of a class before it: one revision can have several events. What is heard later of an older claim that is not known any more is
// no news.
func (x *Index) Told(class Class, revision int64) {
	p := &x.pools[class]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = max(p.told, revision)
}

// Revision is what the watch has come to, as far as Told and Replace say.
func (x *Index) Revision(class Class) int64 {
	p := &x.pools[class]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told
}

// Absent takes note that there was no claim on a value at the given revision.
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
	delete(p.claims, number)
	p.count(number, -1)
	p.makeFree(number)
}

// makeFree lets a number be picked again if nothing else keeps it.
func (p *pool) makeFree(number space.Number) {
	if _, claimed := p.claims[number]; !claimed && p.picked[number] == 0 {
		p.space.Release(number)
	}
}

// Replace sets what is claimed of the given classes to what a list at the
// given revision says, but for what is known to be newer.
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
		p.told = max(p.told, revision)
		p.mu.Unlock()
	}
}

// Lookup says who holds a value, as far as this replica knows.
func (x *Index) Lookup(value Value) (Claim, bool) {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	claim, exists := p.claims[value.Number]
	return claim, exists
}

// FullError says that an automatic pick found nothing.
type FullError struct {
	Class Class
	// Ranges that the pick could have come from, with their figures.
	Ranges []RangeUsage
}

func (e *FullError) Error() string {
	if len(e.Ranges) == 0 {
		return fmt.Sprintf("there is no range to pick an automatic value (%s) from", e.Class)
	}
	text := "range is full:"
	for i, r := range e.Ranges {
		if i > 0 {
			text += ";"
		}
		text += fmt.Sprintf(" %s (%s) holds %d of %d", r.Name, r.Text, r.Allocated, r.Capacity)
	}
	return text
}

// Pick chooses a free value of the class and keeps it from other picks until
// it is claimed, dropped or, after Doubt, its time is over. The error is a
// *FullError.
func (x *Index) Pick(class Class) (Value, error) {
	p := &x.pools[class]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endDoubts(x.now())
	number, ok := p.space.Pick(p.automatic, p.random)
	if !ok {
		return Value{}, &FullError{Class: class, Ranges: p.automaticUsage()}
	}
	p.space.Take(number)
	p.picks++
	p.picked[number] = p.picks
	return Value{class, number}, nil
}

// Drop gives back a picked value that was definitely not claimed.
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

// Doubt gives back a picked value of which nobody knows whether it was
// claimed: the request for it timed out or was canceled. It stays out of
// picks for a minute, unless the watch reports the claim before.
func (x *Index) Doubt(value Value) {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	if pick := p.picked[value.Number]; pick != 0 {
		p.doubts = append(p.doubts, doubt{value.Number, pick, x.now().Add(doubtPeriod)})
	}
}

func (p *pool) endDoubts(now time.Time) {
	for len(p.doubts) > 0 && p.doubts[0].until.Before(now) {
		if d := p.doubts[0]; p.picked[d.number] == d.pick {
			p.drop(d.number)
		}
		p.doubts = p.doubts[1:]
	}
}
