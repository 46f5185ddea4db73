package service

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// NormalizeOnRead fills in the fields for several cluster IPs and families in Services that
// were stored before these fields existed, as upstream does on every read. These are not
// defaults: on a write, an empty field leaves the choice to the server.
//
// It replaces slices and pointers of the Service and never writes to them, so a shallow
// copy of a cached Service can be passed.
func NormalizeOnRead(service *v1.Service, cluster []corev1.IPFamily) {
	pluralizeClusterIP(service)
	if isExternalName(service) {
		// Older versions of Kubernetes set it on every type by default.
		service.Spec.InternalTrafficPolicy = nil
		return
	}
	// The policy and the families were introduced together: both are set or neither is.
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
