package space

import "slices"

// Without returns the parts of the span that no other span has, in ascending order. Numbers
// of the static band stay in the static band of their part.
func (s Span) Without(others []Span) []Span {
	others = slices.DeleteFunc(slices.Clone(others), func(o Span) bool { return o.empty() || o.Last.less(s.First) || s.Last.less(o.First) })
	slices.SortFunc(others, func(a, b Span) int { return a.First.Compare(b.First) })
	var parts []Span
	rest := s
	for _, other := range others {
		if rest.First.less(other.First) {
			parts = append(parts, s.part(rest.First, other.First.prev()))
		}
		if !other.Last.less(rest.Last) {
			return parts
		}
		if rest.First.less(other.Last.next()) {
			rest.First = other.Last.next()
		}
	}
	if rest.empty() {
		return parts
	}
	return append(parts, s.part(rest.First, rest.Last))
}

// part returns a part of the span with its share of the static band, which is at the
// beginning of the part, as the band is at the beginning of the span.
func (s Span) part(first, last Number) Span {
	part := Span{First: first, Last: last}
	if band := s.staticPart(); band.Contains(first) {
		part.Static = min(Span{First: first, Last: band.Last}.Size(), part.Size())
	}
	return part
}
