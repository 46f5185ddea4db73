package space

import (
	"encoding/binary"
	"math/big"
	"net/netip"
)

// PrefixCount is how many addresses of a CIDR can be used, however many they are;
// Size stops at math.MaxUint64. It is nil for what is not a CIDR.
func PrefixCount(cidr string) *big.Int {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil
	}
	span := PrefixSpan(prefix)
	if span.empty() {
		return new(big.Int)
	}
	var distance [16]byte
	number := span.Last.minus(span.First)
	binary.BigEndian.PutUint64(distance[:8], number.hi)
	binary.BigEndian.PutUint64(distance[8:], number.lo)
	count := new(big.Int).SetBytes(distance[:])
	return count.Add(count, big.NewInt(1))
}
