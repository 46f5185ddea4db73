package space

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

// Pick returns a free number of the spans and does not take it. ok is false
// when every number of every span is taken.
//
// One of the spans is chosen at random, by the size of its dynamic part, and
// in that part a place; the pick is the next free number from there, around the
// end of the part to its beginning, and failing that from the spans that
// follow, around the last to the first. Only when all dynamic parts are full
// the same is done over the static bands (KEP-3070, KEP-3668). Where spans
// overlap, what is in the dynamic part of any of them is dynamic.
//
// Replicas that pick at the same time seldom meet, since places are random; a
// number behind a long run of taken ones is picked more often than another.
func (s *Space) Pick(spans []Span, random *rand.Rand) (n Number, ok bool) {
	if n, ok = s.pickFrom(spans, Span.dynamicPart, random); ok {
		return n, true
	}
	return s.pickFrom(spans, Span.staticPart, random)
}

func (s *Space) pickFrom(spans []Span, part func(Span) Span, random *rand.Rand) (Number, bool) {
	var total Number
	for _, span := range spans {
		total = total.saturatingPlus(part(span).weight())
	}
	if total == (Number{}) {
		return Number{}, false
	}
	chosen, offset := 0, randomBelow(total, random)
	for weight := part(spans[0]).weight(); !offset.less(weight); weight = part(spans[chosen]).weight() {
		offset = offset.minus(weight)
		chosen++
	}
	// What is left of offset is uniform within the chosen part.
	for i := range spans {
		candidate := part(spans[(chosen+i)%len(spans)])
		if candidate.empty() {
			continue
		}
		start := candidate.First
		if i == 0 {
			start = start.plus(offset)
		} else {
			start = start.plus(randomBelow(candidate.weight(), random))
		}
		if n, ok := s.nextFree(start, candidate.Last); ok {
			return n, true
		}
		if n, ok := s.nextFree(candidate.First, candidate.Last); ok {
			return n, true
		}
	}
	return Number{}, false
}

// nextFree is the lowest free number from first to last.
func (s *Space) nextFree(first, last Number) (Number, bool) {
	in, ok := s.runUpTo(first)
	if !ok || in.last.less(first) {
		return first, true
	}
	if !in.last.less(last) {
		return Number{}, false
	}
	return in.last.next(), true
}

// randomBelow is uniform among the numbers below limit, which is not zero.
func randomBelow(limit Number, random *rand.Rand) Number {
	if limit.hi == 0 {
		return Number{lo: random.Uint64N(limit.lo)}
	}
	mask := uint64(math.MaxUint64) >> bits.LeadingZeros64(limit.hi)
	for {
		if n := (Number{random.Uint64() & mask, random.Uint64()}); n.less(limit) {
			return n
		}
	}
}
