package allocation

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// Policy says which Services a range serves. The zero Policy serves all of them.
type Policy struct {
	// Namespaces and Services select Services by the labels of their namespace and by
	// their own labels. Nil selects all.
	Namespaces, Services labels.Selector
	// Priority orders the ranges that select a Service, the highest first.
	Priority int32
	// Mode says which of the selected Services get new values.
	Mode Mode
	// FailWhenFull keeps Services that the range selects from values of ranges that come
	// later.
	FailWhenFull bool
	// LoadBalancerClass is that of the Services that the range selects. It is empty for
	// Services without one, and for ranges of other classes of values.
	LoadBalancerClass string
	// AcrossNamespaces allows Services of different namespaces to share a value.
	AcrossNamespaces bool
}

// Mode says which of the Services that a range selects get new values from it.
type Mode int

const (
	// Automatic is the mode of a range that serves every Service.
	Automatic Mode = iota
	// OnRequest is the mode of a range that serves only Services that name the range or a
	// value in it.
	OnRequest
	// Disabled is the mode of a range that serves no Service.
	Disabled
)

// Requester is what the selection of ranges depends on: the Service that asks for a value.
type Requester struct {
	// Namespace and Service are the labels of the Service's namespace and of the Service.
	Namespace, Service labels.Set
	// Range is the range that the Service names, or empty.
	Range string
	// LoadBalancerClass is that of the Service, if the values are load-balancer addresses.
	LoadBalancerClass string
	// Share is what the Service would hold of a value that several Services can hold. It is
	// nil for other values.
	Share *Share
}

// CIDRPolicy returns the policy of a ServiceCIDR.
func CIDRPolicy(spec *v1.ServiceCIDRSpec) Policy {
	return Policy{
		Namespaces: parsed(spec.NamespaceSelector), Services: parsed(spec.ServiceSelector), Priority: ptr.Deref(spec.Priority, 0),
		Mode: mode(ptr.Deref(spec.Allocation, v1.AllocationAutomatic)), FailWhenFull: ptr.Deref(spec.WhenFull, "") == v1.WhenFullFail,
	}
}

// PortPolicy returns the policy of a NodePortRange.
func PortPolicy(spec *v1.NodePortRangeSpec) Policy {
	allocation := v1.AllocationAutomatic
	if !ptr.Deref(spec.AutoAssign, true) {
		allocation = v1.AllocationOnRequest
	}
	return Policy{
		Namespaces: parsed(spec.NamespaceSelector), Services: parsed(spec.ServiceSelector), Priority: ptr.Deref(spec.Priority, 0),
		Mode: mode(ptr.Deref(spec.Allocation, allocation)), FailWhenFull: ptr.Deref(spec.WhenFull, "") == v1.WhenFullFail,
	}
}

// PoolPolicy returns the policy of a LoadBalancerPool.
func PoolPolicy(spec *v1.LoadBalancerPoolSpec) Policy {
	return Policy{
		Namespaces: parsed(spec.NamespaceSelector), Services: parsed(spec.ServiceSelector), Priority: ptr.Deref(spec.Priority, 0),
		Mode: mode(ptr.Deref(spec.Allocation, v1.AllocationAutomatic)), FailWhenFull: ptr.Deref(spec.WhenFull, "") == v1.WhenFullFail,
		LoadBalancerClass: ptr.Deref(spec.LoadBalancerClass, ""),
		AcrossNamespaces:  ptr.Deref(spec.Sharing, "") == v1.SharingAcrossNamespaces,
	}
}

// parsed parses a selector. One that validation does not accept selects nothing; it can
// come from a later release.
func parsed(selector *metav1.LabelSelector) labels.Selector {
	if selector == nil {
		return nil
	}
	matcher, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return labels.Nothing()
	}
	return matcher
}

// mode treats an unknown mode, which can come from a later release, as the one that gives
// values to the fewest Services.
func mode(allocation v1.RangeAllocation) Mode {
	switch allocation {
	case v1.AllocationAutomatic:
		return Automatic
	case v1.AllocationOnRequest:
		return OnRequest
	default:
		return Disabled
	}
}

// IsOwned reports whether the values of the range belong to some Services alone.
func (p Policy) IsOwned() bool { return p.Namespaces != nil || p.Services != nil }

// Selects reports whether the range selects a Service.
func (p Policy) Selects(who Requester) bool {
	return p.LoadBalancerClass == who.LoadBalancerClass &&
		(p.Namespaces == nil || p.Namespaces.Matches(who.Namespace)) && (p.Services == nil || p.Services.Matches(who.Service))
}

// SelectsLike reports whether two policies have the same selectors.
func (p Policy) SelectsLike(other Policy) bool {
	return p.LoadBalancerClass == other.LoadBalancerClass &&
		sameSelector(p.Namespaces, other.Namespaces) && sameSelector(p.Services, other.Services)
}

func sameSelector(a, b labels.Selector) bool {
	return (a == nil) == (b == nil) && (a == nil || a.String() == b.String())
}

// hasRules reports whether the policy uses a field other than autoAssign. The ranges of a
// class are one tier if none of their policies does.
func (p Policy) hasRules() bool {
	return p.IsOwned() || p.Priority != 0 || p.Mode == Disabled || p.FailWhenFull || p.LoadBalancerClass != ""
}
