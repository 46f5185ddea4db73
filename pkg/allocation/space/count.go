package space

import (
	"encoding/binary"
	"math/big"
	"net/netip"
)

// PrefixCount returns how many addresses of a CIDR are usable, without the limit of
// Span.Size. It returns nil for a text that is not a CIDR.
func PrefixCount(cidr string) *big.Int {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil
	}
	return PrefixSpan(prefix).Count()
}

// Count returns how many numbers the span has, without the limit of Size.
func (s Span) Count() *big.Int {
	if s.empty() {
		return new(big.Int)
	}
	var distance [16]byte
	number := s.Last.minus(s.First)
	binary.BigEndian.PutUint64(distance[:8], number.hi)
	binary.BigEndian.PutUint64(distance[8:], number.lo)
	count := new(big.Int).SetBytes(distance[:])
	return count.Add(count, big.NewInt(1))
}
