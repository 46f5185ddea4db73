package service

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// NormalizeOnRead fills in what Services lack that were stored before there
// were several cluster IPs and families, as upstream does on every read. It is
// no default: on a write the same gaps mean that the client leaves the choice
// open.
//
// Slices and pointers of the Service are replaced, never written to, so a
// shallow copy of a cached Service can be passed.
func NormalizeOnRead(service *v1.Service, cluster []corev1.IPFamily) {
	pluralizeClusterIP(service)
	if isExternalName(service) {
		// Older versions of Kubernetes set it by default on every type.
		service.Spec.InternalTrafficPolicy = nil
		return
	}
	// The policy came with the families, so both are there or neither is.
	if len(service.Spec.IPFamilies) == 0 {
		inferStoredIPFamilies(service, cluster)
	}
}

func inferStoredIPFamilies(service *v1.Service, cluster []corev1.IPFamily) {
	var families []corev1.IPFamily
	switch {
	case isHeadlessWithoutSelector(service):
		families = []corev1.IPFamily{primaryFamily(cluster), otherFamily(primaryFamily(cluster))}
	case IsHeadless(service):
		families = []corev1.IPFamily{primaryFamily(cluster)}
	default:
		for _, ip := range service.Spec.ClusterIPs {
			families = append(families, familyOf(ip))
		}
	}
	switch len(families) {
	case 1:
		service.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicySingleStack)
	case 2:
		service.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
	}
	service.Spec.IPFamilies = families
}
