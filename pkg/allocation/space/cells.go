package space

// Cells are consecutive spans of one size.
type Cells struct {
	Spans []Span
	// Bits is in how many low bits the numbers of a cell can differ: the size is a power of
	// two.
	Bits int
	// Offset is the place of the first cell among all cells of the size, modulo 2^16.
	Offset int
}

// Cells divides the span into cells of the smallest size for which there are at most most
// of them. Each begins at a multiple of the size, so that the cells of addresses are CIDRs;
// the first and the last cell have only what is in the span.
func (s Span) Cells(most int) Cells {
	var cells Cells
	if s.empty() || most < 1 {
		return cells
	}
	for uint64(most) <= s.Last.block(cells.Bits).minus(s.First.block(cells.Bits)).lowest() {
		cells.Bits++
	}
	cells.Offset = int(uint16(s.First.block(cells.Bits).lo))
	for first := s.First; ; {
		last := first.lastOfBlock(cells.Bits)
		if !last.less(s.Last) {
			cells.Spans = append(cells.Spans, s.part(first, s.Last))
			return cells
		}
		cells.Spans = append(cells.Spans, s.part(first, last))
		first = last.next()
	}
}

// block returns the number of the block of n, if the numbers of a block differ in low bits.
func (n Number) block(low int) Number {
	if low >= 64 {
		return Number{lo: n.hi >> (low - 64)}
	}
	return Number{n.hi >> low, n.lo>>low | n.hi<<(64-low)}
}

// lastOfBlock returns the last number that differs from n in its low bits only.
func (n Number) lastOfBlock(low int) Number {
	mask := lowBits(low)
	return Number{n.hi | mask.hi, n.lo | mask.lo}
}

// lowest returns n, or the maximum if it does not fit.
func (n Number) lowest() uint64 {
	if n.hi != 0 {
		return ^uint64(0)
	}
	return n.lo
}
