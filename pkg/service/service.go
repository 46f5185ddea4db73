package service

import (
	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// After is the Service as it will be stored. It and Before make swapped
// arguments a compile error, as in upstream's service registry.
type After struct{ *v1.Service }

// Before is the Service as it was stored. Its Service is nil on create.
type Before struct{ *v1.Service }

// NeedsClusterIP says whether the Service must have an address: every type but
// ExternalName does, unless it is headless.
func NeedsClusterIP(service *v1.Service) bool {
	return !isExternalName(service) && !IsHeadless(service)
}

// IsHeadless says whether the Service asks for no address by the value None.
func IsHeadless(service *v1.Service) bool {
	return !isExternalName(service) && service.Spec.ClusterIP == corev1.ClusterIPNone
}

// NeedsNodePort says whether a port that has no node port is given one
// (KEP-1864 for load balancers).
func NeedsNodePort(service *v1.Service) bool {
	switch service.Spec.Type {
	case corev1.ServiceTypeNodePort:
		return true
	case corev1.ServiceTypeLoadBalancer:
		allocate := service.Spec.AllocateLoadBalancerNodePorts
		return allocate == nil || *allocate
	}
	return false
}

// MayHaveNodePort says whether the Service's type can hold node ports at all.
func MayHaveNodePort(service *v1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeNodePort || isLoadBalancer(service)
}

// NeedsHealthCheckNodePort says whether load balancers must be able to ask a
// node if it has endpoints of the Service.
func NeedsHealthCheckNodePort(service *v1.Service) bool {
	return isLoadBalancer(service) && service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func isExternalName(service *v1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeExternalName
}

func isLoadBalancer(service *v1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer
}

// reachableFromOutside is upstream's rule for which Services may have an
// external traffic policy.
func reachableFromOutside(service *v1.Service) bool {
	return MayHaveNodePort(service) ||
		service.Spec.Type == corev1.ServiceTypeClusterIP && len(service.Spec.ExternalIPs) > 0
}
