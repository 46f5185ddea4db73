package claims

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// setAddressRange enters a ServiceCIDR into the index. A CIDR that can't be
// parsed offers nothing.
func setAddressRange(index *allocation.Index, cidr *v1.ServiceCIDR, revision int64) {
	ready := meta.FindStatusCondition(cidr.Status.Conditions, v1.ServiceCIDRConditionReady)
	usable := cidr.DeletionTimestamp == nil && (ready == nil || ready.Status != metav1.ConditionFalse)
	blocks := map[allocation.Class][]allocation.Block{}
	primary := allocation.IPv4
	for i, text := range cidr.Spec.CIDRs {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			continue
		}
		class := allocation.Address(prefix.Addr()).Class
		if i == 0 {
			primary = class
		}
		blocks[class] = append(blocks[class], allocation.Block{Text: text, Span: space.PrefixSpan(prefix)})
	}
	for _, class := range []allocation.Class{allocation.IPv4, allocation.IPv6} {
		index.SetRange(class, allocation.Range{
			Name: cidr.Name, Revision: revision, Blocks: blocks[class], Usable: usable && len(blocks[class]) > 0, Automatic: true, Primary: class == primary,
		})
	}
}

// setPortRange enters a NodePortRange into the index.
func setPortRange(index *allocation.Index, ports *v1.NodePortRange, revision int64) {
	var blocks []allocation.Block
	if spans, err := space.PortSpans(ports.Spec.Ports, ports.Spec.StaticBand); err == nil {
		for i, span := range spans {
			blocks = append(blocks, allocation.Block{Text: ports.Spec.Ports[i], Span: span})
		}
	}
	index.SetRange(allocation.Port, allocation.Range{
		Name: ports.Name, Revision: revision, Blocks: blocks,
		Usable:    ports.DeletionTimestamp == nil,
		Automatic: ports.Spec.AutoAssign == nil || *ports.Spec.AutoAssign,
	})
}

// setRange enters a range as a write of this replica left it, ahead of the
// watch.
func (l *Ledger) setRange(obj runtime.Object) {
	switch obj := obj.(type) {
	case *v1.ServiceCIDR:
		setAddressRange(l.Index, obj, revisionOf(obj))
	case *v1.NodePortRange:
		setPortRange(l.Index, obj, revisionOf(obj))
	}
}

// removeRange does the same for a range that was deleted.
func (l *Ledger) removeRange(obj runtime.Object) {
	for _, class := range classesOf(obj) {
		l.Index.RemoveRange(class, nameOf(obj), revisionOf(obj))
	}
}

// Families are the IP families that there are usable ServiceCIDRs of, the
// default family first: that of the default ServiceCIDR's first CIDR, or, where
// that is gone, of the first ServiceCIDR by name.
func (l *Ledger) Families() []corev1.IPFamily {
	type candidate struct {
		allocation.Range
		family corev1.IPFamily
	}
	var candidates []candidate
	for class, family := range map[allocation.Class]corev1.IPFamily{allocation.IPv4: corev1.IPv4Protocol, allocation.IPv6: corev1.IPv6Protocol} {
		for _, r := range l.Index.Ranges(class) {
			if r.Usable {
				candidates = append(candidates, candidate{r, family})
			}
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(
			preferred(b.Name == v1.DefaultRangeName)-preferred(a.Name == v1.DefaultRangeName),
			cmp.Compare(a.Name, b.Name),
			preferred(b.Primary)-preferred(a.Primary),
		)
	})
	var families []corev1.IPFamily
	for _, c := range candidates {
		if !slices.Contains(families, c.family) {
			families = append(families, c.family)
		}
	}
	return families
}

func preferred(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// CIDRUsage says how full a CIDR of some ServiceCIDR is; figures are capped at
// 2^63-1.
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

// PortUsage says how full a NodePortRange is.
func (l *Ledger) PortUsage(name string) (capacity, allocated, free int32) {
	for _, usage := range l.Index.Usage(allocation.Port, name) {
		capacity += int32(usage.Capacity)
		allocated += int32(usage.Allocated)
		free += int32(usage.Free)
	}
	return capacity, allocated, free
}
