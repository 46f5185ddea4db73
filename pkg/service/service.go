package service

import (
	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// After is a Service that will be stored. With Before, it makes swapped arguments a compile
// error, as in upstream's service registry.
type After struct{ *v1.Service }

// Before is the stored Service. Its Service is nil on create.
type Before struct{ *v1.Service }

// NeedsClusterIP reports whether the Service must have an address. Every type except
// ExternalName must, unless the Service is headless.
func NeedsClusterIP(service *v1.Service) bool {
	return !isExternalName(service) && !IsHeadless(service)
}

// IsHeadless reports whether the Service has no address because of the value None.
func IsHeadless(service *v1.Service) bool {
	return !isExternalName(service) && service.Spec.ClusterIP == corev1.ClusterIPNone
}

// NeedsNodePort reports whether a port without a node port gets one (KEP-1864 for load
// balancers).
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

// MayHaveNodePort reports whether the Service's type can have node ports.
func MayHaveNodePort(service *v1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeNodePort || isLoadBalancer(service)
}

// NeedsHealthCheckNodePort reports whether load balancers need a port to check if a node
// has endpoints of the Service.
func NeedsHealthCheckNodePort(service *v1.Service) bool {
	return isLoadBalancer(service) && service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func isExternalName(service *v1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeExternalName
}

func isLoadBalancer(service *v1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer
}

// reachableFromOutside is upstream's rule for Services that can have an external traffic
// policy.
func reachableFromOutside(service *v1.Service) bool {
	return MayHaveNodePort(service) ||
		service.Spec.Type == corev1.ServiceTypeClusterIP && len(service.Spec.ExternalIPs) > 0
}
