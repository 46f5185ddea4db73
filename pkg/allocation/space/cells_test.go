package space

import (
	"math/big"
	"net/netip"
	"testing"
)

// TestCells wants the cells to have each number of the span once, and its static band.
func TestCells(t *testing.T) {
	t.Parallel()
	prefix := func(text string) Span { return PrefixSpan(netip.MustParsePrefix(text)) }
	addresses := func(first, last string) Span {
		return Span{First: FromAddr(netip.MustParseAddr(first)), Last: FromAddr(netip.MustParseAddr(last)), Static: 3}
	}
	for name, test := range map[string]struct {
		span        Span
		most        int
		cells, bits int
	}{
		"ports, one by one":    {Span{First: FromPort(30000), Last: FromPort(32767), Static: 86}, 4096, 2768, 0},
		"ports, 32 by 32":      {Span{First: FromPort(30000), Last: FromPort(32767), Static: 86}, 100, 87, 5},
		"all ports":            {Span{First: FromPort(1), Last: FromPort(65535), Static: 128}, 1024, 1024, 6},
		"one port":             {Span{First: FromPort(443), Last: FromPort(443)}, 1024, 1, 0},
		"into one cell":        {prefix("10.96.0.0/12"), 1, 1, 20},
		"IPv4":                 {prefix("10.96.0.0/12"), 1024, 1024, 10},
		"IPv4, small":          {prefix("10.96.0.0/28"), 1024, 14, 0},
		"half an address more": {prefix("10.96.0.0/28"), 13, 8, 1},
		"all of IPv4":          {prefix("0.0.0.0/0"), 1024, 1024, 22},
		"IPv6, /112":           {prefix("fd00::/112"), 1024, 1024, 6},
		"IPv6, /64":            {prefix("fd00::/64"), 1024, 1024, 54},
		"IPv6, /48":            {prefix("fd00::/48"), 1024, 1024, 70},
		"all of IPv6":          {prefix("::/0"), 256, 256, 120},
		"not aligned":          {addresses("10.0.0.5", "10.0.1.250"), 16, 16, 5},
		"empty":                {emptySpan, 16, 0, 0},
	} {
		divided := test.span.Cells(test.most)
		cells, bits := divided.Spans, divided.Bits
		if len(cells) != test.cells || bits != test.bits {
			t.Errorf("%s: got %d cells of %d bits, want %d of %d", name, len(cells), bits, test.cells, test.bits)
			continue
		}
		count, static := new(big.Int), uint64(0)
		for i, cell := range cells {
			if i == 0 && cell.First != test.span.First || i > 0 && cell.First != cells[i-1].Last.next() {
				t.Errorf("%s: cell %d begins with %v", name, i, cell.First)
			}
			if cell.First.block(bits) != cell.Last.block(bits) {
				t.Errorf("%s: cell %d is in several blocks", name, i)
			}
			count.Add(count, cell.Count())
			static += cell.StaticSize()
		}
		if count.Cmp(test.span.Count()) != 0 || static != test.span.StaticSize() {
			t.Errorf("%s: the cells have %d numbers, %d of them static; the span has %d and %d",
				name, count, static, test.span.Count(), test.span.StaticSize())
		}
	}
}

func TestOffsetOfCells(t *testing.T) {
	t.Parallel()
	ports := Span{First: FromPort(30000), Last: FromPort(32767)}
	for want, cells := range map[int]Cells{
		30000: ports.Cells(4096),
		937:   ports.Cells(100), // 30000 / 32
		1:     PrefixSpan(netip.MustParsePrefix("10.96.0.0/24")).Cells(256),
		38912: PrefixSpan(netip.MustParsePrefix("10.96.0.0/12")).Cells(1024), // 10.96.0.0 >> 10, modulo 2^16
	} {
		if cells.Offset != want {
			t.Errorf("got %d, want %d", cells.Offset, want)
		}
	}
}
