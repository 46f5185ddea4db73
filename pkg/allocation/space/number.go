package space

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Number is an unsigned 128-bit number: an IP address or a port.
//
// The number of an IPv4 address is that of its IPv4-mapped IPv6 address, ::ffff:0:0/96, so
// that the families do not overlap within a Space. A port is its plain value. Ports and
// addresses do overlap, so they need separate Spaces.
type Number struct{ hi, lo uint64 }

var maxNumber = Number{^uint64(0), ^uint64(0)}

// FromAddr returns the number of an address. All spellings of an address have one number:
// an IPv4-mapped address counts as the IPv4 address, and a zone is dropped. The zero Addr
// counts as "::".
func FromAddr(addr netip.Addr) Number {
	b := addr.As16()
	return Number{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// Addr returns the address of n, without a zone. Numbers in the IPv4-mapped block are IPv4
// addresses.
func (n Number) Addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	return netip.AddrFrom16(b).Unmap()
}

// FromPort returns the number of a port. It does not check the port. A negative port, or
// one above 65535, becomes a number that is in no span of PortSpans.
func FromPort(port int32) Number { return Number{lo: uint64(uint32(port))} }

// Port returns the port of n; it is the inverse of FromPort. For other numbers it returns
// the lowest 32 bits.
func (n Number) Port() int32 { return int32(uint32(n.lo)) }

// FromUint returns a plain value as a number. Like ports, plain values need a Space of their
// own.
func FromUint(n uint64) Number { return Number{lo: n} }

// Uint returns the plain value of n; it is the inverse of FromUint. For other numbers it
// returns the lowest 64 bits.
func (n Number) Uint() uint64 { return n.lo }

// Compare returns -1, 0 or +1 if n is below, equal to or above m.
func (n Number) Compare(m Number) int {
	if n.hi != m.hi {
		return cmp.Compare(n.hi, m.hi)
	}
	return cmp.Compare(n.lo, m.lo)
}

func (n Number) less(m Number) bool {
	return n.hi < m.hi || n.hi == m.hi && n.lo < m.lo
}

// plus and minus wrap around at the ends. Callers check if that could happen.
func (n Number) plus(m Number) Number {
	lo, carry := bits.Add64(n.lo, m.lo, 0)
	hi, _ := bits.Add64(n.hi, m.hi, carry)
	return Number{hi, lo}
}

func (n Number) minus(m Number) Number {
	lo, borrow := bits.Sub64(n.lo, m.lo, 0)
	hi, _ := bits.Sub64(n.hi, m.hi, borrow)
	return Number{hi, lo}
}

func (n Number) next() Number { return n.plus(Number{lo: 1}) }

func (n Number) prev() Number { return n.minus(Number{lo: 1}) }

func (n Number) saturatingPlus(m Number) Number {
	if sum := n.plus(m); !sum.less(n) {
		return sum
	}
	return maxNumber
}
