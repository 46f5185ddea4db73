package importer

import (
	"fmt"
	"math/big"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// Bitmap is a range of values and those that kube-apiserver has allocated in it. It is
// stored as a RangeAllocation, whose bit n stands for the value n after the first one
// (upstream's pkg/registry/core/service/allocator).
type Bitmap struct {
	// Range is the range as text, e.g. "30000-32767" or "10.96.0.0/16".
	Range string
	bits  *big.Int
}

func newBitmap(stored *corev1.RangeAllocation) Bitmap {
	return Bitmap{Range: stored.Range, bits: new(big.Int).SetBytes(stored.Data)}
}

// offsets returns the numbers of the bits that are set.
func (b Bitmap) offsets() []int {
	var set []int
	for i := range b.bits.BitLen() {
		if b.bits.Bit(i) == 1 {
			set = append(set, i)
		}
	}
	return set
}

// ports returns the ports that are set.
func (b Bitmap) ports() (map[int32]bool, error) {
	first, last, err := v1.ParsePortRange(b.Range)
	if err != nil {
		return nil, fmt.Errorf("the bitmap of node ports has the range %q: %w", b.Range, err)
	}
	ports := map[int32]bool{}
	for _, offset := range b.offsets() {
		if port := first + int32(offset); port <= last { //nolint:gosec // A stored bitmap has at most 1 MiB.
			ports[port] = true
		}
	}
	return ports, nil
}

// addresses returns the addresses that are set. Upstream's bitmap begins after the network
// address.
func (b Bitmap) addresses() ([]netip.Addr, error) {
	prefix, err := netip.ParsePrefix(b.Range)
	if err != nil {
		return nil, fmt.Errorf("the bitmap of cluster IPs has the range %q: %w", b.Range, err)
	}
	base := new(big.Int).SetBytes(prefix.Masked().Addr().AsSlice())
	size := len(prefix.Addr().AsSlice())
	var addresses []netip.Addr
	for _, offset := range b.offsets() {
		number := new(big.Int).Add(base, big.NewInt(int64(offset)+1))
		if number.BitLen() > size*8 {
			continue
		}
		if addr, ok := netip.AddrFromSlice(number.FillBytes(make([]byte, size))); ok && prefix.Contains(addr) {
			addresses = append(addresses, addr)
		}
	}
	return addresses, nil
}

// portSpans returns the spans of a range of node ports.
func portSpans(text string) ([]space.Span, error) { return space.PortSpans([]string{text}, nil) }

// contains reports whether a number lies in one of the spans.
func contains(spans []space.Span, number space.Number) bool {
	return slices.ContainsFunc(spans, func(span space.Span) bool { return span.Contains(number) })
}
