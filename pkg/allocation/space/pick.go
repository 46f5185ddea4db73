package space

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

// Pick returns a free number of the spans and does not take it. ok is false if every number
// of every span is taken.
//
// Pick chooses a span at random, weighted by the sizes of the dynamic parts, and a place in
// its dynamic part. It returns the next free number from there on, wrapping around within
// the part. If the part is full it continues with the spans that follow, wrapping around
// from the last to the first. Only if all dynamic parts are full does it do the same with
// the static bands (KEP-3070, KEP-3668). If spans overlap, a number in the dynamic part of
// any of them is dynamic.
//
// Replicas that pick at the same time rarely conflict, since places are random. A number
// after a long run of taken ones is picked more often than others.
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
	// The rest of offset is uniform within the chosen part.
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
		if n, ok := s.NextFree(start, candidate.Last); ok {
			return n, true
		}
		if n, ok := s.NextFree(candidate.First, candidate.Last); ok {
			return n, true
		}
	}
	return Number{}, false
}

// NextFree returns the lowest free number from first to last, which must not be below first.
func (s *Space) NextFree(first, last Number) (Number, bool) {
	in, ok := s.runUpTo(first)
	if !ok || in.last.less(first) {
		return first, true
	}
	if !in.last.less(last) {
		return Number{}, false
	}
	return in.last.next(), true
}

// randomBelow returns a uniform number below limit, which must not be zero.
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
