package allocation

import (
	"cmp"
	"slices"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// selection decides which ranges of a class serve a Service, and in which order. It is made
// whenever a range changes, and is immutable, so that it is used without a lock.
//
// Ranges with a selector own their values. A value in such a range is for the Services that
// one of its owners selects. It is for none of the others, even if a range without selectors
// has it too.
type selection struct {
	// known has the range of each name, including ranges that are not usable or have no
	// values of the class.
	known map[string]*candidate
	// ranges are the usable ranges in the order in which they serve.
	ranges []*candidate
	// first is the first usable range by name. The default range comes before all others.
	first *candidate
	// all is the only tier if no range has rules: then the order is the same for every
	// Service without a load-balancer class.
	all *tier
	// byNamespace is true if the labels of namespaces matter.
	byNamespace bool
}

// candidate is a range with the spans from which picks come.
type candidate struct {
	Range
	spans []space.Span
}

// tier is a group of ranges that serve a Service equally.
type tier struct {
	ranges []*candidate
	spans  []space.Span
}

func newSelection(ranges []Range) *selection {
	s := &selection{known: map[string]*candidate{}}
	var owned []space.Span
	rules := false
	for _, r := range ranges {
		c := &candidate{Range: r}
		s.known[r.Name] = c
		if !r.Usable {
			continue
		}
		s.ranges = append(s.ranges, c)
		if s.first == nil || r.Name == v1.DefaultRangeName || s.first.Name != v1.DefaultRangeName && r.Name < s.first.Name {
			s.first = c
		}
		rules = rules || r.hasRules()
		s.byNamespace = s.byNamespace || r.Namespaces != nil
		if r.IsOwned() {
			owned = append(owned, spansOf(r)...)
		}
	}
	for _, c := range s.ranges {
		for _, span := range spansOf(c.Range) {
			if c.IsOwned() || len(owned) == 0 {
				c.spans = append(c.spans, span)
			} else {
				c.spans = append(c.spans, span.Without(owned)...)
			}
		}
	}
	slices.SortFunc(s.ranges, func(a, b *candidate) int {
		return cmp.Or(-compareBools(a.IsOwned(), b.IsOwned()), -cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Name, b.Name))
	})
	if !rules {
		s.all = &tier{}
		for _, c := range s.ranges {
			if c.Mode == Automatic {
				s.all.add(c)
			}
		}
	}
	return s
}

func spansOf(r Range) []space.Span {
	spans := make([]space.Span, len(r.Blocks))
	for i, block := range r.Blocks {
		spans[i] = block.Span
	}
	return spans
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

func (t *tier) add(c *candidate) {
	t.ranges = append(t.ranges, c)
	t.spans = append(t.spans, c.spans...)
}

// has reports whether picks from the range can return a number.
func (c *candidate) has(number space.Number) bool { return containNumber(c.spans, number) }

func containNumber(spans []space.Span, number space.Number) bool {
	return slices.ContainsFunc(spans, func(span space.Span) bool { return span.Contains(number) })
}

// equals reports whether a range belongs to the tier of another.
func (c *candidate) equals(other *candidate) bool {
	return c.IsOwned() == other.IsOwned() && c.Priority == other.Priority
}

// named returns the range that a Service names for values of this class. It returns false
// if the Service names none, or one that has only values of another class, and no range if the
// one that it names does not exist.
func (s *selection) named(who Requester) (c *candidate, ok bool) {
	if who.Range == "" {
		return nil, false
	}
	c, exists := s.known[who.Range]
	return c, !exists || len(c.Blocks) > 0
}

// tiers returns the ranges from which a Service's picks come. A tier is used when those
// before it are full.
func (s *selection) tiers(who Requester) []tier {
	if c, ok := s.named(who); ok {
		if c == nil || c.refuses(who) != nil {
			return nil
		}
		return []tier{{ranges: []*candidate{c}, spans: c.spans}}
	}
	if s.all != nil && who.LoadBalancerClass == "" {
		return []tier{*s.all}
	}
	var tiers []tier
	var last *candidate
	fail := false
	for _, c := range s.ranges {
		if c.Mode != Automatic || !c.Selects(who) {
			continue
		}
		if last == nil || !c.equals(last) {
			if fail {
				break
			}
			tiers = append(tiers, tier{})
		}
		tiers[len(tiers)-1].add(c)
		last, fail = c, fail || c.FailWhenFull
	}
	return tiers
}

// refuses returns why the range gives no value to a Service that names it or a value in it.
func (c *candidate) refuses(who Requester) *RefusedError {
	switch {
	case !c.Usable:
		return &RefusedError{c.Name, notUsable}
	case !c.Selects(who):
		return &RefusedError{c.Name, notSelecting}
	case c.Mode == Disabled:
		return &RefusedError{c.Name, disabled}
	}
	return nil
}

// covering returns the range from which a Service can take a value by name. The error is a
// *RefusedError if the value lies in ranges that don't serve the Service, and ErrOutside if
// it lies in none.
func (s *selection) covering(number space.Number, who Requester) (*candidate, error) {
	var refused error
	owned := false
	for _, c := range s.ranges {
		// Ranges with owners come first.
		if !c.Covers(number) || owned && !c.IsOwned() {
			continue
		}
		owned = owned || c.IsOwned()
		refusal := c.refuses(who)
		if named, ok := s.named(who); refusal == nil && ok && named != c {
			refusal = &RefusedError{c.Name, notNamed}
		}
		if refusal == nil {
			return c, nil
		}
		if refused == nil {
			refused = refusal
		}
	}
	if refused == nil {
		return nil, ErrOutside
	}
	return nil, refused
}

// passed returns the ranges from which a Service's picks did not come, and why. It returns
// none if no range has rules.
func (s *selection) passed(who Requester, tiers []tier) []*RefusedError {
	if c, ok := s.named(who); ok {
		if c == nil {
			return []*RefusedError{{who.Range, missing}}
		}
		if refusal := c.refuses(who); refusal != nil {
			return []*RefusedError{refusal}
		}
		return nil
	}
	if s.all != nil && who.LoadBalancerClass == "" {
		return nil
	}
	used := map[string]bool{}
	for _, t := range tiers {
		for _, c := range t.ranges {
			used[c.Name] = true
		}
	}
	var passed []*RefusedError
	for _, c := range s.ranges {
		if used[c.Name] {
			continue
		}
		refusal := c.refuses(who)
		switch {
		case refusal != nil:
		case c.Mode == OnRequest:
			refusal = &RefusedError{c.Name, onRequest}
		default:
			refusal = &RefusedError{c.Name, afterFull}
		}
		passed = append(passed, refusal)
	}
	return passed
}
