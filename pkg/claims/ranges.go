package claims

import (
	"net/netip"

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
			Name: cidr.Name, Revision: revision, Blocks: blocks[class], Usable: usable && len(blocks[class]) > 0, Automatic: true,
			Primary: class == primary,
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
