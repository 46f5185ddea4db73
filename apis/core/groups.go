package core

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// Group returns the API group in which upstream serves a resource of portolan.dev.
// Upstream does not serve all of them.
func Group(resource string) (group string, served bool) {
	switch resource {
	case "services", "endpoints":
		return corev1.GroupName, true
	case "endpointslices":
		return discoveryv1.GroupName, true
	case "servicecidrs", "ipaddresses":
		return networkingv1.GroupName, true
	default:
		return "", false
	}
}

// Holder returns the holder of an IPAddress as upstream names it, or nil if ref is nil.
func Holder(ref *v1.ParentReference) *networkingv1.ParentReference {
	if ref == nil {
		return nil
	}
	holder := &networkingv1.ParentReference{Group: ref.Group, Resource: ref.Resource, Namespace: ref.Namespace, Name: ref.Name}
	if group, served := Group(ref.Resource); served && ref.Group == v1.GroupName {
		holder.Group = group
	}
	return holder
}
