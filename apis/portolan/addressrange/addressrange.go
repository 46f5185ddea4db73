// Package addressrange parses the addresses of LoadBalancerPools. Validation, allocation and
// clients share it. It is pure.
package addressrange

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// Range is a run of addresses of one IP family, with both ends included.
type Range struct {
	First, Last netip.Addr `protobuf:"bytes,1,opt,name=first"`
}

// Parse parses an entry of a LoadBalancerPool: a CIDR ("192.0.2.0/24"), two
// addresses ("192.0.2.10-192.0.2.99") or one address ("192.0.2.7"). Every address of a
// CIDR is in its range. The error describes a valid entry and does not quote the invalid
// one, so that it can follow a field path.
func Parse(entry string) (Range, error) {
	if strings.Contains(entry, "/") {
		return parsePrefix(entry)
	}
	low, high, isRange := strings.Cut(entry, "-")
	if !isRange {
		high = low
	}
	first, err := parseAddress(low)
	if err != nil {
		return Range{}, err
	}
	last, err := parseAddress(high)
	if err != nil {
		return Range{}, err
	}
	if first.Is4() != last.Is4() {
		return Range{}, errors.New("both addresses must be of the same IP family")
	}
	if last.Less(first) {
		return Range{}, errors.New("the first address must not be above the last")
	}
	return Range{First: first, Last: last}, nil
}

func parseAddress(text string) (netip.Addr, error) {
	address, err := netip.ParseAddr(text)
	if err != nil || address.Is4In6() || address.Zone() != "" || address.String() != text {
		return netip.Addr{}, errors.New(`must be made of IP addresses in canonical form, such as "192.0.2.10-192.0.2.99" or "2001:db8::10"`)
	}
	return address, nil
}

func parsePrefix(text string) (Range, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() || prefix.Masked().String() != text {
		return Range{}, errors.New(`must be a CIDR in canonical form, such as "192.0.2.0/24" or "2001:db8::/64"`)
	}
	return OfPrefix(prefix), nil
}

// OfPrefix returns all addresses of a prefix.
func OfPrefix(prefix netip.Prefix) Range {
	last := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < prefix.Addr().BitLen(); bit++ {
		last[bit/8] |= 1 << (7 - bit%8)
	}
	end, _ := netip.AddrFromSlice(last)
	return Range{First: prefix.Masked().Addr(), Last: end}
}

// Overlaps reports whether the ranges have an address in common.
func (r Range) Overlaps(other Range) bool {
	return r.First.Is4() == other.First.Is4() && !r.Last.Less(other.First) && !other.Last.Less(r.First)
}

// without returns the parts of the range that none of the others has. The others are
// sorted and do not overlap each other.
func (r Range) without(others []Range) []Range {
	var parts []Range
	next := r.First
	for _, other := range others {
		if !other.Overlaps(Range{First: next, Last: r.Last}) {
			continue
		}
		if next.Less(other.First) {
			parts = append(parts, Range{First: next, Last: other.First.Prev()})
		}
		if !other.Last.Less(r.Last) {
			return parts
		}
		next = other.Last.Next()
	}
	return append(parts, Range{First: next, Last: r.Last})
}

// OfPool returns the addresses that Services can have from a pool, as ranges in
// ascending order. Entries that are malformed have none. The entries and exclusions of a
// valid pool don't overlap.
func OfPool(spec *v1.LoadBalancerPoolSpec) []Range {
	excluded := parseAll(spec.Exclude)
	avoid := spec.AvoidBuggyIPs != nil && *spec.AvoidBuggyIPs
	var addresses []Range
	for _, entry := range parseAll(slices.Concat(spec.CIDRs, spec.Ranges)) {
		for _, part := range entry.without(excluded) {
			if avoid {
				addresses = append(addresses, part.without(part.buggy())...)
			} else {
				addresses = append(addresses, part)
			}
		}
	}
	return addresses
}

// buggy returns the IPv4 addresses of the range that end in .0 or .255.
func (r Range) buggy() []Range {
	if !r.First.Is4() {
		return nil
	}
	var found []Range
	for next := r.First; ; {
		network := OfPrefix(netip.PrefixFrom(next, 24))
		found = append(found, Range{network.First, network.First}, Range{network.Last, network.Last})
		if !network.Last.Less(r.Last) {
			return found
		}
		next = network.Last.Next()
	}
}

func parseAll(entries []string) []Range {
	var ranges []Range
	for _, entry := range entries {
		if parsed, err := Parse(entry); err == nil {
			ranges = append(ranges, parsed)
		}
	}
	slices.SortFunc(ranges, func(a, b Range) int { return a.First.Compare(b.First) })
	return ranges
}
