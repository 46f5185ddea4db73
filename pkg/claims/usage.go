package claims

import (
	"cmp"
	"math"
	"math/big"
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
)

// Families returns the IP families that have usable ServiceCIDRs, the default family
// first. The default family is that of the first CIDR of the default ServiceCIDR or, if
// that does not exist, of the first ServiceCIDR by name.
func (l *Ledger) Families() []corev1.IPFamily {
	ipv4, hasIPv4 := l.Index.First(allocation.IPv4)
	ipv6, hasIPv6 := l.Index.First(allocation.IPv6)
	switch {
	case !hasIPv4 && !hasIPv6:
		return nil
	case !hasIPv6:
		return []corev1.IPFamily{corev1.IPv4Protocol}
	case !hasIPv4:
		return []corev1.IPFamily{corev1.IPv6Protocol}
	}
	order := cmp.Or(
		preferred(ipv6.Name == v1.DefaultRangeName)-preferred(ipv4.Name == v1.DefaultRangeName),
		cmp.Compare(ipv4.Name, ipv6.Name),
		preferred(ipv6.Primary)-preferred(ipv4.Primary),
	)
	if order > 0 {
		return []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
	}
	return []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
}

func preferred(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// CIDRUsage reports how full a CIDR of any ServiceCIDR is. Figures are capped at 2^63-1.
func (l *Ledger) CIDRUsage(cidr string) (capacity, allocated, free int64) {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return 0, 0, 0
	}
	class := allocation.Address(prefix.Addr()).Class
	for _, r := range l.Index.Ranges(class) {
		for _, usage := range l.Index.Usage(class, r.Name) {
			if usage.Text == cidr {
				return capped(usage.Capacity), capped(usage.Allocated), capped(usage.Free)
			}
		}
	}
	return 0, 0, 0
}

func capped(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// PortUsage reports how full a NodePortRange is.
func (l *Ledger) PortUsage(name string) (capacity, allocated, free int32) {
	for _, usage := range l.Index.Usage(allocation.Port, name) {
		capacity += int32(usage.Capacity)
		allocated += int32(usage.Allocated)
		free += int32(usage.Free)
	}
	return capacity, allocated, free
}

// PoolUsage reports how full a LoadBalancerPool is, for each family that it has.
func (l *Ledger) PoolUsage(name string) []v1.FamilyUsage {
	var usages []v1.FamilyUsage
	for _, family := range []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} {
		class := LoadBalancerClass(family)
		blocks := l.Index.BlocksOf(class, name)
		if len(blocks) == 0 {
			continue
		}
		capacity := new(big.Int)
		for _, block := range blocks {
			capacity.Add(capacity, block.Span.Count())
		}
		var allocated uint64
		for _, block := range l.Index.Usage(class, name) {
			allocated += block.Allocated
		}
		free := new(big.Int).Sub(capacity, new(big.Int).SetUint64(allocated))
		usage := v1.FamilyUsage{Family: family, Capacity: cappedInt(capacity), Allocated: capped(allocated), Free: cappedInt(free)}
		if !capacity.IsInt64() {
			usage.ExactCapacity, usage.ExactFree = capacity.String(), free.String()
		}
		usages = append(usages, usage)
	}
	return usages
}

// cappedInt returns a number of 0 or more, at most 2^63-1.
func cappedInt(n *big.Int) int64 {
	if !n.IsInt64() {
		return math.MaxInt64
	}
	return max(n.Int64(), 0)
}
