package space

import (
	"math"
	"net/netip"
)

// Span is a run of numbers with both ends included. The lowest Static numbers are its
// static band, from which picks come last. The others are its dynamic part. A Static above
// the size counts as the size. A span whose Last is below its First is empty.
type Span struct {
	First, Last Number
	Static      uint64
}

var emptySpan = Span{First: Number{lo: 1}}

func (s Span) empty() bool { return s.Last.less(s.First) }

// Contains reports whether n is in the span, in either of its parts.
func (s Span) Contains(n Number) bool {
	return !n.less(s.First) && !s.Last.less(n)
}

// IsStatic reports whether n is in the static band.
func (s Span) IsStatic(n Number) bool { return s.staticPart().Contains(n) }

// StaticSize returns how many numbers the static band has.
func (s Span) StaticSize() uint64 { return s.staticPart().Size() }

// Overlaps reports whether the spans have a number in common.
func (s Span) Overlaps(other Span) bool {
	return !s.empty() && !other.empty() && !s.Last.less(other.First) && !other.Last.less(s.First)
}

// Size returns how many numbers the span has, at most math.MaxUint64.
func (s Span) Size() uint64 {
	size := s.weight()
	if size.hi != 0 {
		return math.MaxUint64
	}
	return size.lo
}

// weight returns how many numbers the span has. It is one too low for all 2^128 numbers,
// which don't fit into a Number.
func (s Span) weight() Number {
	if s.empty() {
		return Number{}
	}
	return s.Last.minus(s.First).saturatingPlus(Number{lo: 1})
}

func (s Span) staticPart() Span {
	if s.Static == 0 || s.empty() {
		return emptySpan
	}
	last := s.First.saturatingPlus(Number{lo: s.Static - 1})
	if s.Last.less(last) {
		last = s.Last
	}
	return Span{First: s.First, Last: last}
}

func (s Span) dynamicPart() Span {
	if s.Static == 0 || s.empty() {
		return Span{First: s.First, Last: s.Last}
	}
	static := s.staticPart()
	if static.Last == s.Last {
		return emptySpan
	}
	return Span{First: static.Last.next(), Last: s.Last}
}

const (
	// The static band of a prefix is a 16th of its addresses, within these bounds. A
	// prefix that is not larger than the lower bound has none (KEP-3070).
	minStaticAddrs, maxStaticAddrs = 16, 256
	staticAddrsStep                = 16
)

var (
	firstMapped = FromAddr(netip.AddrFrom4([4]byte{}))
	lastMapped  = FromAddr(netip.AddrFrom4([4]byte{255, 255, 255, 255}))
)

// PrefixSpan returns the usable addresses of a CIDR, with upstream's static band
// (KEP-3070). It ignores host bits. An invalid prefix has an empty span.
//
// An IPv4 prefix has no network and no broadcast address, an IPv6 prefix no network address
// (the Subnet-Router anycast address, RFC 4291). A prefix with at most one host bit has all
// its addresses, as it has no such special ones (RFC 3021, RFC 6164); upstream never
// allocates from such a prefix. An IPv6 prefix can have any length. A prefix that covers
// the IPv4-mapped block, as ::/64 does, is reduced to the larger part beside that block, so
// that it never yields an IPv4 address.
func PrefixSpan(prefix netip.Prefix) Span {
	if !prefix.IsValid() {
		return emptySpan
	}
	hostBits := prefix.Addr().BitLen() - prefix.Bits()
	if prefix.Addr().Is4In6() && hostBits <= 32 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), 32-hostBits)
	}
	first := FromAddr(prefix.Masked().Addr())
	last := first.plus(lowBits(hostBits))

	isIPv4 := prefix.Addr().Is4()
	if hostBits > 1 {
		first = first.next()
		if isIPv4 {
			last = last.prev()
		}
	}
	span := Span{First: first, Last: last, Static: staticAddrs(hostBits)}
	if !isIPv4 && span.Contains(firstMapped) {
		below := Span{First: first, Last: firstMapped.prev(), Static: span.Static}
		above := Span{First: lastMapped.next(), Last: last, Static: span.Static}
		span = below
		if below.weight().less(above.weight()) {
			span = above
		}
	}
	return span
}

func staticAddrs(hostBits int) uint64 {
	if hostBits >= 64 {
		return maxStaticAddrs
	}
	size := uint64(1) << hostBits
	if size <= minStaticAddrs {
		return 0
	}
	return min(max(minStaticAddrs, size/staticAddrsStep), maxStaticAddrs)
}

// lowBits returns 2^count - 1.
func lowBits(count int) Number {
	if count >= 64 {
		return Number{1<<(count-64) - 1, math.MaxUint64}
	}
	return Number{0, 1<<count - 1}
}
