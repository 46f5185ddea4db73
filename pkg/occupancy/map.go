package occupancy

import (
	"math/big"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

const (
	// mostValues is how many values a map shows one by one. Of more, a cell is an aligned
	// block, and there are at most mostBlocks.
	mostValues, mostBlocks = 4096, 1024
	// overviewCells is how many cells a block has in the overview.
	overviewCells = 256
	// mostClaims is how many claims a map lists.
	mostClaims = 200
)

// Map is a block of a range, or a part of it, divided into cells. Counts of values are
// decimal numbers, because they can be too large for anything else.
type Map struct {
	Class string `json:"class"`
	// Path leads from the block to the part that is shown, which is its last step.
	Path     []Step `json:"path"`
	Capacity string `json:"capacity"`
	Counts
	// Services counts the holders.
	Services int `json:"services"`
	// CellSize is how many values a cell stands for. The first and the last cell can have
	// fewer.
	CellSize string `json:"cellSize"`
	// Offset is the place of the first cell among all cells of the size, modulo 2^16. Cells
	// that are a power of two apart can so be shown below each other.
	Offset int    `json:"offset"`
	Cells  []Cell `json:"cells"`
	// Claims are the first ones of the part.
	Claims []Claim `json:"claims"`
}

// Step is one part of a range on the way to a smaller one. First and its place in the path
// identify it.
type Step struct {
	Text  string `json:"text"`
	First string `json:"first"`
}

// Counts says how many values of a part are claimed.
type Counts struct {
	// Allocated counts claims, Reserved those of them that no Service holds.
	Allocated int `json:"allocated,omitempty"`
	Reserved  int `json:"reserved,omitempty"`
	// Static is how many values are in the static band.
	Static uint64 `json:"static,omitempty"`
	// Marked counts the claims of the namespace that was asked about.
	Marked int `json:"marked,omitempty"`
}

// Cell is one value or one block of values.
type Cell struct {
	// Text is a value, a CIDR, or the first and the last value.
	Text string `json:"text"`
	// First is the first value, if Text has others too.
	First string `json:"first,omitempty"`
	// Capacity is set if it is not the map's CellSize.
	Capacity string `json:"capacity,omitempty"`
	Counts
	// Claim is the claim of a cell that is one value.
	Claim *Claim `json:"claim,omitempty"`
}

// RangeMaps is a range with the maps of its blocks.
type RangeMaps struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Usages has one entry for each class.
	Usages []Usage `json:"usages"`
	Maps   []Map   `json:"maps"`
}

// PartOptions says which part of a range a map shows.
type PartOptions struct {
	// At is a value in the part. Depth is how often the block is divided into cells before
	// the part is reached, with the cell that has the value each time. If it is negative,
	// the part is the smallest one whose cells are values.
	At    string
	Depth int
	// Namespace is the one whose claims are counted apart.
	Namespace string
}

// Overview returns all ranges, with maps of few cells and without their claims.
func (o *Occupancy) Overview(now time.Time) []RangeMaps {
	all := []RangeMaps{}
	for _, r := range o.ranges {
		if last := len(all) - 1; last < 0 || all[last].Kind != r.kind || all[last].Name != r.Name {
			all = append(all, RangeMaps{Kind: r.kind, Name: r.Name})
		}
		shown := &all[len(all)-1]
		shown.Usages = append(shown.Usages, o.usage(r, now))
		for _, b := range r.Blocks {
			shown.Maps = append(shown.Maps, o.newMap(r.class, []part{r.whole(b)}, b.Span.Cells(overviewCells), ""))
		}
	}
	return all
}

// Range returns a range with a map of each block. Namespace is the one whose claims are
// counted apart.
func (o *Occupancy) Range(kind, name, namespace string, now time.Time) (RangeMaps, error) {
	ranges, err := o.rangesOf(kind, name)
	if err != nil {
		return RangeMaps{}, err
	}
	shown := RangeMaps{Kind: kind, Name: name}
	for _, r := range ranges {
		shown.Usages = append(shown.Usages, o.usage(r, now))
		for _, b := range r.Blocks {
			shown.Maps = append(shown.Maps, o.mapOf(r.class, []part{r.whole(b)}, namespace))
		}
	}
	return shown, nil
}

// Part returns a range with the map of a part of it.
func (o *Occupancy) Part(kind, name string, options PartOptions, now time.Time) (RangeMaps, error) {
	ranges, err := o.rangesOf(kind, name)
	if err != nil {
		return RangeMaps{}, err
	}
	r, b, number, err := blockOf(ranges, options.At)
	if err != nil {
		return RangeMaps{}, err
	}
	path, span := []part{r.whole(b)}, b.Span
	for depth := 0; options.Depth < 0 || depth < options.Depth; depth++ {
		cells := divide(span)
		if cells.Bits == 0 {
			break
		}
		span = cells.Spans[slices.IndexFunc(cells.Spans, func(cell space.Span) bool { return cell.Contains(number) })]
		path = append(path, part{spanText(r.class, span), span})
	}
	return RangeMaps{kind, name, []Usage{o.usage(r, now)}, []Map{o.mapOf(r.class, path, options.Namespace)}}, nil
}

// part is a part of a block with its text.
type part struct {
	text string
	span space.Span
}

// whole returns a block as a part. Blocks of a pool have its text in common, and are named by
// their values.
func (r classRange) whole(block allocation.Block) part {
	for _, other := range r.Blocks {
		if other.Text == block.Text && other.Span != block.Span {
			return part{spanText(r.class, block.Span), block.Span}
		}
	}
	return part{block.Text, block.Span}
}

func divide(span space.Span) space.Cells {
	if span.Size() <= mostValues {
		return span.Cells(mostValues)
	}
	return span.Cells(mostBlocks)
}

// mapOf returns the map of the last part of a path, with its claims.
func (o *Occupancy) mapOf(class allocation.Class, path []part, namespace string) Map {
	span := path[len(path)-1].span
	m := o.newMap(class, path, divide(span), namespace)
	inside := within(o.claims[class], span)
	m.Services = services(inside)
	for _, c := range inside[:min(len(inside), mostClaims)] {
		m.Claims = append(m.Claims, c.shown(class))
	}
	return m
}

func (o *Occupancy) newMap(class allocation.Class, path []part, cells space.Cells, namespace string) Map {
	span := path[len(path)-1].span
	m := Map{
		Class: class.String(), Capacity: span.Count().String(), Cells: make([]Cell, len(cells.Spans)),
		CellSize: new(big.Int).Lsh(big.NewInt(1), uint(cells.Bits)).String(), Offset: cells.Offset, Claims: []Claim{},
	}
	for _, step := range path {
		m.Path = append(m.Path, Step{step.text, valueText(class, step.span.First)})
	}
	m.Counts = count(span, within(o.claims[class], span), namespace)
	for i, cell := range cells.Spans {
		inside := within(o.claims[class], cell)
		shown := Cell{Text: spanText(class, cell), Counts: count(cell, inside, namespace)}
		if first := valueText(class, cell.First); first != shown.Text {
			shown.First = first
		}
		if capacity := cell.Count().String(); capacity != m.CellSize {
			shown.Capacity = capacity
		}
		if cells.Bits == 0 && len(inside) > 0 {
			claim := inside[0].shown(class)
			shown.Claim = &claim
		}
		m.Cells[i] = shown
	}
	return m
}

func count(span space.Span, inside []claim, namespace string) Counts {
	counts := Counts{Allocated: len(inside), Static: span.StaticSize()}
	for _, c := range inside {
		if !c.held() {
			counts.Reserved++
		}
		if namespace != "" && slices.Contains(c.namespaces(), namespace) {
			counts.Marked++
		}
	}
	return counts
}

func services(inside []claim) int {
	holders := map[Holder]bool{}
	for _, c := range inside {
		for _, holder := range c.holders {
			if holder.UID != "" {
				holders[holderOf(holder)] = true
			}
		}
	}
	return len(holders)
}

func valueText(class allocation.Class, number space.Number) string {
	return allocation.Value{Class: class, Number: number}.String()
}

// spanText returns a value, a CIDR if the span has all of its addresses, or the first and
// the last value.
func spanText(class allocation.Class, span space.Span) string {
	first, last := valueText(class, span.First), valueText(class, span.Last)
	if first == last {
		return first
	}
	if class != allocation.Port {
		from, to := span.First.Addr(), span.Last.Addr()
		prefix := netip.PrefixFrom(from, sameBits(from.AsSlice(), to.AsSlice())).Masked()
		if prefix.Addr() == from && span.Count().BitLen() > from.BitLen()-prefix.Bits() {
			return prefix.String()
		}
	}
	return first + "-" + last
}

// sameBits returns how many bits are the same before the first that differs.
func sameBits(a, b []byte) int {
	const bitsOfByte = 8
	for i := range a {
		if differ := a[i] ^ b[i]; differ != 0 {
			return i*bitsOfByte + bits.LeadingZeros8(differ)
		}
	}
	return len(a) * bitsOfByte
}
