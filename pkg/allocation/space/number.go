package space

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Number is an unsigned 128-bit number: an IP address or a port.
//
// An IPv4 address has the place of its IPv4-mapped IPv6 address, ::ffff:0:0/96,
// so that both families share one Space without meeting. A port is its plain
// value; ports and addresses do meet, so they need a Space each.
type Number struct{ hi, lo uint64 }

var maxNumber = Number{^uint64(0), ^uint64(0)}

// FromAddr returns the number of an address. An IPv4-mapped address is the
// IPv4 address and a zone is dropped, so all spellings of an address are one
// number. The zero Addr is taken for "::".
func FromAddr(addr netip.Addr) Number {
	b := addr.As16()
	return Number{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// Addr returns the address that n stands for, without a zone; numbers in the
// IPv4-mapped block are IPv4 addresses.
func (n Number) Addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	return netip.AddrFrom16(b).Unmap()
}

// FromPort returns the number of a port. It does not check the port: one that
// is negative or above 65535 becomes a number that no span of PortSpans holds.
func FromPort(port int32) Number { return Number{lo: uint64(uint32(port))} }

// Port returns the port that n stands for; it undoes FromPort. Of a number
// that is no port it returns the lowest 32 bits.
func (n Number) Port() int32 { return int32(uint32(n.lo)) }

// Compare is -1, 0 or +1 as n is below, equal to or above m.
func (n Number) Compare(m Number) int {
	if n.hi != m.hi {
		return cmp.Compare(n.hi, m.hi)
	}
	return cmp.Compare(n.lo, m.lo)
}

func (n Number) less(m Number) bool {
	return n.hi < m.hi || n.hi == m.hi && n.lo < m.lo
}

// plus and minus wrap around at the ends; where that could happen the caller
// looks first.
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
