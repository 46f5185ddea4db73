package space

import (
	"math"

	"github.com/google/btree"
)

// Space is the set of taken numbers. The package comment describes its locking and cost.
type Space struct {
	// runs never touch each other: there is a free number between any two. Pick relies
	// on that to find the next free number in one step.
	runs  *btree.BTreeG[run]
	taken int
}

// run has both ends included and is keyed by the first.
type run struct{ first, last Number }

// At a million claims, 8 was clearly slower, and 16 to 128 made no difference.
const treeDegree = 32

// NewSpace returns a Space in which every number is free.
func NewSpace() *Space {
	return &Space{runs: btree.NewG(treeDegree, func(a, b run) bool { return a.first.less(b.first) })}
}

// Take marks n as taken. It returns false, and changes nothing, if n is taken already.
func (s *Space) Take(n Number) bool {
	before, hasBefore := s.runUpTo(n)
	if hasBefore && !before.last.less(n) {
		return false
	}
	grown := run{n, n}
	if hasBefore && before.last == n.prev() {
		grown.first = before.first
	}
	if n != maxNumber {
		if after, ok := s.runs.Get(run{first: n.next()}); ok {
			grown.last = after.last
			s.runs.Delete(after)
		}
	}
	s.runs.ReplaceOrInsert(grown)
	s.taken++
	return true
}

// Release marks n as free. It returns false, and changes nothing, if n is free already.
func (s *Space) Release(n Number) bool {
	in, ok := s.runUpTo(n)
	if !ok || in.last.less(n) {
		return false
	}
	if in.first == n {
		s.runs.Delete(in)
	} else {
		s.runs.ReplaceOrInsert(run{in.first, n.prev()})
	}
	if in.last != n {
		s.runs.ReplaceOrInsert(run{n.next(), in.last})
	}
	s.taken--
	return true
}

// Taken reports whether n is taken.
func (s *Space) Taken(n Number) bool {
	in, ok := s.runUpTo(n)
	return ok && !in.last.less(n)
}

// Len returns the number of taken numbers.
func (s *Space) Len() int { return s.taken }

// CountIn returns how many numbers of the span are taken, at most math.MaxUint64. It walks
// the runs inside the span, which is too slow for the path of a request.
func (s *Space) CountIn(span Span) uint64 {
	if span.empty() {
		return 0
	}
	from := span.First
	if before, ok := s.runUpTo(from); ok {
		from = before.first
	}
	var count Number
	s.runs.AscendGreaterOrEqual(run{first: from}, func(r run) bool {
		if span.Last.less(r.first) {
			return false
		}
		if r.first.less(span.First) {
			r.first = span.First
		}
		if span.Last.less(r.last) {
			r.last = span.Last
		}
		count = count.saturatingPlus(Span{First: r.first, Last: r.last}.weight())
		return true
	})
	if count.hi != 0 {
		return math.MaxUint64
	}
	return count.lo
}

// runUpTo returns the run with the highest first number that is not above n. If n is in a
// run, it is this one.
func (s *Space) runUpTo(n Number) (found run, ok bool) {
	s.runs.DescendLessOrEqual(run{first: n}, func(r run) bool {
		found, ok = r, true
		return false
	})
	return found, ok
}
