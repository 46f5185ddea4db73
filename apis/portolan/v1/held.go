package v1

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// HolderOf returns a reference to a Service that holds a claim.
func HolderOf(service *Service) *ParentReference {
	return &ParentReference{Group: GroupName, Resource: "services", Namespace: service.Namespace, Name: service.Name, UID: service.UID}
}

// NewHeldAddress returns the claim of a Service on an address. Name is the address in
// canonical form.
func NewHeldAddress(name string, service *Service) *IPAddress {
	meta := newClaimMeta(name)
	meta.Labels = HeldAddressLabels(name)
	return &IPAddress{ObjectMeta: meta, Spec: IPAddressSpec{ParentRef: HolderOf(service)}}
}

// NewHeldPort returns the claim of a Service on a node port. Protocols are those that the
// Service serves on the port.
func NewHeldPort(name string, protocols []corev1.Protocol, service *Service) *NodePort {
	return &NodePort{ObjectMeta: newClaimMeta(name), Spec: NodePortSpec{Protocols: protocols, ParentRef: HolderOf(service)}}
}

func newClaimMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, UID: uuid.NewUUID(), CreationTimestamp: metav1.Now()}
}

// HeldAddressLabels returns the labels of the IPAddress of the given name while a
// Service holds it. They are upstream's.
func HeldAddressLabels(name string) map[string]string {
	family := corev1.IPv4Protocol
	if strings.Contains(name, ":") {
		family = corev1.IPv6Protocol
	}
	return map[string]string{LabelIPFamily: string(family), LabelManagedBy: ManagedByAllocator}
}

// NewHeldLoadBalancerAddress returns the claim of a Service on a load-balancer address.
// Name is the address in canonical form.
func NewHeldLoadBalancerAddress(name, sharingKey string, holder LoadBalancerIPHolder) *LoadBalancerIP {
	spec := LoadBalancerIPSpec{SharingKey: sharingKey, Holders: []LoadBalancerIPHolder{holder}}
	return &LoadBalancerIP{ObjectMeta: newClaimMeta(name), Spec: spec}
}

// Reference returns a reference to the Service that is the holder.
func (h *LoadBalancerIPHolder) Reference() *ParentReference {
	return &ParentReference{Group: GroupName, Resource: "services", Namespace: h.Namespace, Name: h.Name, UID: h.UID}
}
