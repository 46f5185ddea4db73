// Package permits keeps what one replica knows of the permits of a limit.
//
// A limit of N has the permits 0 to N-1. A claim on a value under the limit also takes a free
// permit, in the same transaction, which compares that the permit is free. So any number of
// replicas can claim at the same time, no two of them write the same key unless few permits
// are left, and there are never more than N claims.
//
// A limit can be below what is in use: values may have been claimed before there was a
// limit and have no permit, and the limit may have been lowered below the number of a
// permit that is taken. Only the permits below a bound can be taken then. The bound is the
// highest B for which
//
//	B + (taken permits from B on) + (claimed values without a permit) <= N
//
// As long as the limit stays the same, no claim takes a permit from B on, and no value is
// claimed without a permit, except in the place of one. So the sum of the two latter figures
// never grows, and B never falls. A replica that knows an old state, and so a B that is too low,
// takes no more than it may. The transaction compares the revision of the limit. And if less
// than N is in use, a permit below B is free: B is the highest, so the left side is N, and
// more than what is in use.
//
// A Set is a hint about which permits below its bound are free, and the authority on
// nothing: Load must have been called with the state of the store at one revision, at which
// the limit was the present one, before a permit is picked. There is no clock, no I/O and
// no client here.
package permits

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"

	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// Number is the number of a permit.
type Number uint64

// String returns the number as decimals.
func (n Number) String() string { return strconv.FormatUint(uint64(n), 10) }

// Set has the permits of one limit.
type Set struct {
	max uint64

	mu     sync.Mutex
	loaded bool
	// taken has the permits that are taken, and the pending ones.
	taken *space.Space
	// pending are the permits that requests have picked and not claimed yet.
	pending map[Number]bool
	// unpermitted is the number of claimed values without a permit, when loaded.
	unpermitted uint64
	// settled is true once all claimed values have permits, which stays so.
	settled bool
	// bound is the number of the first permit that can't be taken.
	bound uint64
	// cursor is where the next pick begins. Replicas begin at random places and go on from
	// there, so that they meet rarely.
	cursor uint64
	// returned is closed when a pending permit is claimed or returned.
	returned chan struct{}
}

// New makes the permits of a limit. They have to be loaded.
func New(limit int64) *Set {
	return &Set{max: uint64(max(limit, 0)), taken: space.NewSpace(), pending: map[Number]bool{}, returned: make(chan struct{})}
}

// Load sets the state: the permits that are taken and the number of claimed values without
// one, both at one revision of the store.
func (s *Set) Load(taken []Number, unpermitted int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded, s.unpermitted, s.settled = true, uint64(unpermitted), s.settled || unpermitted == 0
	s.taken = space.NewSpace()
	slices.Sort(taken)
	for _, n := range taken {
		s.taken.Take(space.FromUint(uint64(n)))
	}
	for n := range s.pending {
		s.taken.Take(space.FromUint(uint64(n)))
	}
	s.bound = bound(s.max, taken, s.unpermitted)
	s.cursor = 0
	if s.bound > 0 {
		s.cursor = rand.Uint64N(s.bound)
	}
}

// bound returns the highest b with b + (numbers from b on) + unpermitted <= limit, 0 if there
// is none. The numbers are sorted.
func bound(limit uint64, taken []Number, unpermitted uint64) uint64 {
	if unpermitted >= limit {
		return 0
	}
	for b := limit - unpermitted; ; {
		first, _ := slices.BinarySearch(taken, Number(b))
		above := uint64(len(taken) - first)
		if above+unpermitted >= limit {
			return 0
		}
		lower := limit - unpermitted - above
		if lower >= b {
			return b
		}
		b = lower
	}
}

// Forget makes the next pick ask for the state to be loaded, because another replica has
// taken a permit of which this one did not know.
func (s *Set) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = false
}

// Pick returns free permits, as many as wanted or none. They are pending until they are
// given to Claimed or Return, exactly once. If there are too few and other requests have
// pending ones, the channel is closed when that changes. If both results are nil, the state
// must be loaded.
func (s *Set) Pick(wanted int) ([]Number, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.loaded {
		return nil, nil
	}
	picked := make([]Number, 0, wanted)
	for range wanted {
		n, ok := s.next()
		if !ok {
			s.putBack(picked)
			if len(s.pending) > 0 {
				return nil, s.returned
			}
			return nil, nil
		}
		s.taken.Take(space.FromUint(uint64(n)))
		s.pending[n] = true
		s.cursor = uint64(n) + 1
		picked = append(picked, n)
	}
	return picked, nil
}

// next returns the first free permit from the cursor on, or else from 0 on.
func (s *Set) next() (Number, bool) {
	if s.bound == 0 {
		return 0, false
	}
	last := space.FromUint(s.bound - 1)
	if s.cursor < s.bound {
		if n, ok := s.taken.NextFree(space.FromUint(s.cursor), last); ok {
			return Number(n.Uint()), true
		}
	}
	n, ok := s.taken.NextFree(space.FromUint(0), last)
	return Number(n.Uint()), ok
}

func (s *Set) putBack(numbers []Number) {
	for _, n := range numbers {
		delete(s.pending, n)
		s.taken.Release(space.FromUint(uint64(n)))
	}
}

// Return gives picked permits back.
func (s *Set) Return(numbers []Number) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putBack(numbers)
	s.signal()
}

// Claimed records that picked permits are taken, or may be.
func (s *Set) Claimed(numbers []Number) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range numbers {
		delete(s.pending, n)
	}
	s.signal()
}

func (s *Set) signal() {
	close(s.returned)
	s.returned = make(chan struct{})
}

// Released records that a permit is free. One from the bound on stays out of use until the
// state is loaded again.
func (s *Set) Released(n Number) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if uint64(n) < s.bound && !s.pending[n] {
		s.taken.Release(space.FromUint(uint64(n)))
	}
}

// InPlace returns a permit for a value that takes the place of one without a permit. It is
// beyond the limit, and other requests rarely pick the same.
func (s *Set) InPlace() Number { return Number(s.max + rand.Uint64N(1<<40)) }

// Whole reports whether every permit of the limit can be taken, and all claimed values have
// one. Then what is used is the number of permits that are taken.
func (s *Set) Whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settled && s.bound == s.max
}

// Settled reports whether all claimed values are known to have permits.
func (s *Set) Settled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settled
}
