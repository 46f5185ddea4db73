package allocation

import (
	"cmp"
	"math"
	"slices"

	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// Block is one CIDR, or one run of ports or addresses, of a range.
type Block struct {
	// Text is the block as it stands in the range's spec.
	Text string
	Span space.Span
}

// Range holds the values of one class that a ServiceCIDR, a NodePortRange or a
// LoadBalancerPool has.
type Range struct {
	Name     string
	Revision int64
	Blocks   []Block
	// Usable is false for a range that is being deleted or not Ready. No new claim
	// may lie in it.
	Usable bool
	// Primary is true for the class of a ServiceCIDR's first CIDR.
	Primary bool
	// Policy says which Services the range serves.
	Policy
}

// BlockUsage reports how full a block is. It counts claims and not picks.
type BlockUsage struct {
	Text                      string
	Capacity, Allocated, Free uint64
}

// RangeUsage is the usage of a block with the name of its range.
type RangeUsage struct {
	Name string
	BlockUsage
}

type rangeState struct {
	Range
	// allocated counts the claims in each block.
	allocated []uint64
	// removed marks a range that was deleted by Revision. It is kept so that an older
	// fact can't bring the range back.
	removed bool
}

// SetRange records a range at its Revision.
func (x *Index) SetRange(class Class, r Range) {
	p := &x.pools[class]
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, exists := p.ranges[r.Name]; exists && known.Revision >= r.Revision {
		return
	}
	state := &rangeState{Range: r, allocated: make([]uint64, len(r.Blocks))}
	for i, block := range r.Blocks {
		for number := range p.claims {
			if block.Span.Contains(number) {
				state.allocated[i]++
			}
		}
	}
	p.ranges[r.Name] = state
	p.refresh()
}

// RemoveRange records that a range did not exist at the given revision.
func (x *Index) RemoveRange(class Class, name string, revision int64) {
	p := &x.pools[class]
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, exists := p.ranges[name]; exists && known.Revision <= revision {
		p.ranges[name] = &rangeState{Range: Range{Name: name, Revision: revision}, removed: true}
		p.refresh()
	}
}

// Ranges returns the ranges that exist, by name.
func (x *Index) Ranges(class Class) []Range {
	p := &x.pools[class]
	p.mu.Lock()
	defer p.mu.Unlock()
	ranges := make([]Range, len(p.sorted))
	for i, state := range p.sorted {
		ranges[i] = state.Range
	}
	return ranges
}

// First returns the default range if it is usable, and otherwise the first usable range by
// name.
func (x *Index) First(class Class) (Range, bool) {
	if first := x.pools[class].selection.Load().first; first != nil {
		return first.Range, true
	}
	return Range{}, false
}

// Range returns a range by its name. The caller must not change its blocks.
func (x *Index) Range(class Class, name string) (Range, bool) {
	c, exists := x.pools[class].selection.Load().known[name]
	if !exists {
		return Range{}, false
	}
	return c.Range, true
}

// SelectsByNamespace reports whether the labels of namespaces matter to the ranges of a
// class.
func (x *Index) SelectsByNamespace(class Class) bool {
	return x.pools[class].selection.Load().byNamespace
}

// ServesClass reports whether a usable range is for Services of a load-balancer class, an
// empty one for Services without one. It says nothing of the other selectors.
func (x *Index) ServesClass(class Class, loadBalancerClass string) bool {
	return slices.ContainsFunc(x.pools[class].selection.Load().ranges, func(c *candidate) bool {
		return c.LoadBalancerClass == loadBalancerClass
	})
}

// BlocksOf returns the blocks of a class that a range has. It returns none for a range that
// does not exist.
func (x *Index) BlocksOf(class Class, name string) []Block {
	named, _ := x.Range(class, name)
	return named.Blocks
}

// Selects reports whether a usable range selects a Service.
func (x *Index) Selects(class Class, who Requester) bool {
	return slices.ContainsFunc(x.pools[class].selection.Load().ranges, func(c *candidate) bool { return c.Selects(who) })
}

// Covering returns the range from which a Service can take a value by name, the first one
// if several overlap. A transaction compares the revision. The error is a *RefusedError if
// the value lies only in ranges that don't serve the Service.
func (x *Index) Covering(value Value, who Requester) (Range, error) {
	c, err := x.pools[value.Class].selection.Load().covering(value.Number, who)
	if err != nil {
		return Range{}, err
	}
	return c.Range, nil
}

// BlockOf returns the text of the block that a value lies in, of the first usable range by
// name if several overlap. It is empty if there is none.
func (x *Index) BlockOf(value Value) string {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, state := range p.sorted {
		if !state.Usable {
			continue
		}
		for _, block := range state.Blocks {
			if block.Span.Contains(value.Number) {
				return block.Text
			}
		}
	}
	return ""
}

// Usage reports how full a range's blocks are, in the order of its spec.
func (x *Index) Usage(class Class, name string) []BlockUsage {
	p := &x.pools[class]
	p.mu.Lock()
	defer p.mu.Unlock()
	state, exists := p.ranges[name]
	if !exists {
		return nil
	}
	return state.usage()
}

// UsableRanges reports the usage of all usable ranges, for messages.
func (x *Index) UsableRanges(class Class) []RangeUsage {
	p := &x.pools[class]
	p.mu.Lock()
	defer p.mu.Unlock()
	var usages []RangeUsage
	for _, state := range p.sorted {
		if state.Usable {
			usages = append(usages, state.namedUsage()...)
		}
	}
	return usages
}

// tierUsage reports the usage of the ranges of tiers, in the order of the tiers.
func (p *pool) tierUsage(tiers []tier) []RangeUsage {
	var usages []RangeUsage
	for _, t := range tiers {
		for _, c := range t.ranges {
			if state, exists := p.ranges[c.Name]; exists {
				usages = append(usages, state.namedUsage()...)
			}
		}
	}
	return usages
}

// inProgress counts the picked numbers of tiers. None of them is claimed yet.
func (p *pool) inProgress(tiers []tier) int {
	n := 0
	for number := range p.picked {
		if inTiers(tiers, number) {
			n++
		}
	}
	return n
}

// inTiers reports whether a number lies in one of the tiers.
func inTiers(tiers []tier, number space.Number) bool {
	return slices.ContainsFunc(tiers, func(t tier) bool { return containNumber(t.spans, number) })
}

// refresh updates the fields that follow from the set of ranges.
func (p *pool) refresh() {
	p.sorted = p.sorted[:0]
	for _, state := range p.ranges {
		if !state.removed {
			p.sorted = append(p.sorted, state)
		}
	}
	slices.SortFunc(p.sorted, func(a, b *rangeState) int { return cmp.Compare(a.Name, b.Name) })
	ranges := make([]Range, len(p.sorted))
	for i, state := range p.sorted {
		ranges[i] = state.Range
	}
	p.selection.Store(newSelection(ranges))
}

func (p *pool) count(number space.Number, by int) {
	for _, state := range p.ranges {
		for i, block := range state.Blocks {
			if block.Span.Contains(number) {
				state.allocated[i] += uint64(by)
			}
		}
	}
}

// Overlaps reports whether the ranges, of one class, have a value in common.
func (r Range) Overlaps(other Range) bool {
	return slices.ContainsFunc(r.Blocks, func(a Block) bool {
		return slices.ContainsFunc(other.Blocks, func(b Block) bool { return a.Span.Overlaps(b.Span) })
	})
}

// Covers reports whether a number is a value of the range, which is of the number's class.
func (r Range) Covers(number space.Number) bool {
	return slices.ContainsFunc(r.Blocks, func(b Block) bool { return b.Span.Contains(number) })
}

func (r *rangeState) usage() []BlockUsage {
	usages := make([]BlockUsage, len(r.Blocks))
	for i, block := range r.Blocks {
		capacity, allocated := block.Span.Size(), r.allocated[i]
		usages[i] = BlockUsage{Text: block.Text, Capacity: capacity, Allocated: allocated, Free: capacity - min(allocated, capacity)}
	}
	return usages
}

// namedUsage sums up the blocks that have one text.
func (r *rangeState) namedUsage() []RangeUsage {
	usages := make([]RangeUsage, 0, len(r.Blocks))
	for _, block := range r.usage() {
		if last := len(usages) - 1; last >= 0 && usages[last].Text == block.Text {
			usages[last].add(block)
			continue
		}
		usages = append(usages, RangeUsage{Name: r.Name, BlockUsage: block})
	}
	return usages
}

// add adds the figures of another block, up to the limit of each.
func (u *BlockUsage) add(other BlockUsage) {
	sum := func(a, b uint64) uint64 { return a + min(b, math.MaxUint64-a) }
	u.Capacity, u.Allocated, u.Free = sum(u.Capacity, other.Capacity), u.Allocated+other.Allocated, sum(u.Free, other.Free)
}
