package claims

import (
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/service"
)

// addresses are cluster IPs. Their claims are IPAddresses, their ranges ServiceCIDRs.
type addresses struct{}

var _ kind = addresses{}

// AddressClass returns the class of the addresses of a family.
func AddressClass(family corev1.IPFamily) allocation.Class {
	if family == corev1.IPv6Protocol {
		return allocation.IPv6
	}
	return allocation.IPv4
}

func (addresses) names() names {
	return names{
		noun: "address", claims: "ipaddresses", ranges: "servicecidrs", rangeKind: "ServiceCIDR",
	}
}

func (addresses) classes() []allocation.Class {
	return []allocation.Class{allocation.IPv4, allocation.IPv6}
}

func (addresses) observesBlocks() bool { return true }

func (addresses) parse(name string) (allocation.Value, bool) {
	addr, err := netip.ParseAddr(name)
	if err != nil {
		return allocation.Value{}, false
	}
	return allocation.Address(addr), true
}

func (addresses) newClaim() runtime.Object { return &v1.IPAddress{} }

func (addresses) heldClaim(name string, _ holding, owner *v1.Service) runtime.Object {
	return v1.NewHeldAddress(name, owner)
}

func (addresses) heldLabels(name string) map[string]string { return v1.HeldAddressLabels(name) }

func (addresses) reserve(claim runtime.Object, _ *v1.Service, expires *metav1.Time) {
	claim.(*v1.IPAddress).Spec.ExpirationTimestamp = expires
}

func (k addresses) claim(obj runtime.Object) (contents, bool) {
	address, ok := obj.(*v1.IPAddress)
	if !ok {
		return contents{}, false
	}
	return contents{
		kind: k, meta: &address.ObjectMeta, parent: address.Spec.ParentRef, spec: &address.Spec,
		terms: allocation.Terms{Expires: timeOf(address.Spec.ExpirationTimestamp)},
	}, true
}

func (addresses) newRange() runtime.Object { return &v1.ServiceCIDR{} }

// offers returns what a ServiceCIDR has of both families. A CIDR that can't be parsed
// offers nothing.
func (k addresses) offers(obj runtime.Object, revision int64) []offer {
	cidr := obj.(*v1.ServiceCIDR)
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
	policy := allocation.CIDRPolicy(&cidr.Spec)
	var offers []offer
	for _, class := range k.classes() {
		offers = append(offers, offer{class, allocation.Range{
			Name: cidr.Name, Revision: revision, Blocks: blocks[class], Usable: usable && len(blocks[class]) > 0, Policy: policy,
			Primary: class == primary,
		}})
	}
	return offers
}

func (addresses) conditions(obj runtime.Object) *[]metav1.Condition {
	if cidr, ok := obj.(*v1.ServiceCIDR); ok {
		return &cidr.Status.Conditions
	}
	return nil
}

func (addresses) spans(obj runtime.Object) []space.Span {
	cidr, ok := obj.(*v1.ServiceCIDR)
	if !ok {
		return nil
	}
	var spans []space.Span
	for _, text := range cidr.Spec.CIDRs {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			spans = append(spans, space.PrefixSpan(prefix))
		}
	}
	return spans
}

// shrinks returns nil: the entries of a ServiceCIDR can't be changed.
func (addresses) shrinks(_, _ runtime.Object) *field.Path { return nil }

func (addresses) asks(svc *v1.Service) allocation.Requester {
	return allocation.Requester{Range: svc.Annotations[v1.ServiceCIDRAnnotation]}
}

func (addresses) rangePath(*v1.Service) *field.Path {
	return field.NewPath("metadata", "annotations").Key(v1.ServiceCIDRAnnotation)
}

func (addresses) addHoldings(svc *v1.Service, to holdings) {
	for _, addr := range service.ClusterIPs(svc) {
		to[allocation.Address(addr)] = holding{}
	}
}

func (addresses) addPositions(svc *v1.Service, to positions) {
	for _, addr := range service.ClusterIPs(svc) {
		to.add(allocation.Address(addr))
	}
}

func (addresses) substitute(svc *v1.Service, old, replacement allocation.Value) {
	spec := &svc.Spec
	for i, text := range spec.ClusterIPs {
		addr, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(text))
		if ok && allocation.Address(addr) == old {
			spec.ClusterIPs[i] = replacement.String()
		}
	}
	if len(spec.ClusterIPs) > 0 {
		spec.ClusterIP = spec.ClusterIPs[0]
	}
}

// fixedBy returns nil: cluster IPs are part of the spec.
func (addresses) fixedBy(*v1.Service, allocation.Value) *field.Path { return nil }

// withdraw returns false: a Service is not created without its cluster IPs.
func (addresses) withdraw(*v1.Service, allocation.Value, error) bool { return false }

func (addresses) fieldError(svc *v1.Service, value allocation.Value, cause error) *field.Error {
	return field.Invalid(field.NewPath("spec", "clusterIPs"), svc.Spec.ClusterIPs, addressText(value, cause))
}

func addressText(value allocation.Value, cause error) string {
	if _, ok := errors.AsType[*outOfRangeError](cause); ok {
		return fmt.Sprintf("failed to allocate IP %s: the provided network does not match the current range", value)
	}
	if full, ok := errors.AsType[*allocation.ExhaustedError](cause); ok {
		return "failed to allocate a serviceIP: " + full.Error()
	}
	if taken, ok := errors.AsType[*takenError](cause); ok {
		return fmt.Sprintf("failed to allocate IP %s: provided IP is %v", value, taken)
	}
	return fmt.Sprintf("failed to allocate IP %s: %v", value, cause)
}
