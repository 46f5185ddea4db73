package allocation

import (
	"cmp"
	"slices"

	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// Block is one CIDR, or one run of ports, of a range.
type Block struct {
	// Text is the block as the range's spec writes it.
	Text string
	Span space.Span
}

// Range is what a ServiceCIDR or a NodePortRange offers of one class.
type Range struct {
	Name     string
	Revision int64
	Blocks   []Block
	// Usable is false for a range that is being deleted or not Ready: nothing
	// new may be claimed from it.
	Usable bool
	// Primary is true for the class of a ServiceCIDR's first CIDR.
	Primary bool
	// Automatic says whether values that a client left open may come from it.
	Automatic bool
}

// BlockUsage says how full a block is. Claims count; picks on their way don't.
type BlockUsage struct {
	Text                      string
	Capacity, Allocated, Free uint64
}

// RangeUsage is a block's figures with the name of its range.
type RangeUsage struct {
	Name string
	BlockUsage
}

type rangeState struct {
	Range
	// allocated counts the claims in each block.
	allocated []uint64
	// removed marks a range that is gone at Revision, kept until a newer fact
	// so that older news can't bring it back.
	removed bool
}

// SetRange takes note of a range as it was at its Revision.
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

// RemoveRange takes note that a range was gone at the given revision.
func (x *Index) RemoveRange(class Class, name string, revision int64) {
	p := &x.pools[class]
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, exists := p.ranges[name]; exists && known.Revision <= revision {
		p.ranges[name] = &rangeState{Range: Range{Name: name, Revision: revision}, removed: true}
		p.refresh()
	}
}

// Ranges are the ranges that are there, by name.
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

// Covering is the usable range that a value lies in; where several overlap,
// the first by name. Revision is what a transaction compares.
func (x *Index) Covering(value Value) (name string, revision int64, ok bool) {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, state := range p.sorted {
		if state.Usable && state.covers(value.Number) {
			return state.Name, state.Revision, true
		}
	}
	return "", 0, false
}

// BlockOf is the text of the block that a value lies in: that of the range
// which Covering names, empty where there is none.
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

// Usage says how full a range's blocks are, in the order of its spec.
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

// UsableRanges are the figures of all ranges that values may be claimed from,
// for messages.
func (x *Index) UsableRanges(class Class) []RangeUsage {
	p := &x.pools[class]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.usages(func(r *rangeState) bool { return r.Usable })
}

func (p *pool) automaticUsage() []RangeUsage {
	return p.usages(func(r *rangeState) bool { return r.Usable && r.Automatic })
}

func (p *pool) usages(include func(*rangeState) bool) []RangeUsage {
	var usages []RangeUsage
	for _, state := range p.sorted {
		if include(state) {
			for _, block := range state.usage() {
				usages = append(usages, RangeUsage{Name: state.Name, BlockUsage: block})
			}
		}
	}
	return usages
}

// refresh works out anew what follows from the set of ranges.
func (p *pool) refresh() {
	p.sorted = p.sorted[:0]
	for _, state := range p.ranges {
		if !state.removed {
			p.sorted = append(p.sorted, state)
		}
	}
	slices.SortFunc(p.sorted, func(a, b *rangeState) int { return cmp.Compare(a.Name, b.Name) })
	p.automatic = nil
	for _, state := range p.sorted {
		if state.Usable && state.Automatic {
			for _, block := range state.Blocks {
				p.automatic = append(p.automatic, block.Span)
			}
		}
	}
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

func (r *rangeState) covers(number space.Number) bool {
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
