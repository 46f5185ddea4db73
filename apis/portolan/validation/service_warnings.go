package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// ServiceWarnings warns of values that are deprecated, ignored or not in canonical form,
// in the words of upstream's GetWarningsForService. The stored Service is nil on create.
// No warning depends on it so far.
func ServiceWarnings(service, _ *v1.Service) []string {
	spec := &service.Spec
	externalName := isExternalName(service)
	headless := spec.Type == corev1.ServiceTypeClusterIP && spec.ClusterIP == corev1.ClusterIPNone

	var warnings []string
	warn := func(applies bool, format string, args ...any) {
		if applies {
			warnings = append(warnings, fmt.Sprintf(format, args...))
		}
	}
	_, hasHints := service.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	warn(hasHints, "annotation %s is deprecated, please use %s instead",
		corev1.DeprecatedAnnotationTopologyAwareHints, corev1.AnnotationTopologyMode)
	for i, ip := range spec.ClusterIPs {
		warnings = append(warnings, ipWarnings(clusterIPsPath.Index(i), ip)...)
	}
	warn(headless && spec.LoadBalancerIP != "", "spec.loadBalancerIP is ignored for headless services")
	warn(headless && len(spec.ExternalIPs) > 0, "spec.externalIPs is ignored for headless services")
	warn(headless && spec.SessionAffinity != corev1.ServiceAffinityNone, "spec.SessionAffinity is ignored for headless services")
	for i, ip := range spec.ExternalIPs {
		warnings = append(warnings, ipWarnings(specPath.Child("externalIPs").Index(i), ip)...)
	}
	warn(len(spec.ExternalIPs) > 0 && !headless && !externalName,
		"spec.externalIPs is deprecated and may no longer be implemented in some clusters")
	warnings = append(warnings, ipWarnings(specPath.Child("loadBalancerIP"), spec.LoadBalancerIP)...)
	for i, cidr := range spec.LoadBalancerSourceRanges {
		warnings = append(warnings, cidrWarnings(specPath.Child("loadBalancerSourceRanges").Index(i), cidr)...)
	}
	warn(externalName && len(spec.ExternalIPs) > 0, "spec.externalIPs is ignored when spec.type is %q", corev1.ServiceTypeExternalName)
	warn(!externalName && spec.ExternalName != "", "spec.externalName is ignored when spec.type is not %q", corev1.ServiceTypeExternalName)
	warn(ptr.Deref(spec.TrafficDistribution, "") == corev1.ServiceTrafficDistributionPreferClose,
		"spec.trafficDistribution: %q is deprecated; use %q",
		corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone)
	_, retainedFor := service.Annotations[v1.RetainForAnnotation]
	warn(retainedFor && service.Annotations[v1.RetainAnnotation] != "true", "%s: has no effect without %s: \"true\"",
		metadataPath.Child("annotations").Key(v1.RetainForAnnotation), v1.RetainAnnotation)
	for _, key := range slices.Sorted(maps.Keys(service.Annotations)) {
		warn(isUnknownAnnotation(key), "%s: unknown annotation", metadataPath.Child("annotations").Key(key))
	}
	return warnings
}

// isUnknownAnnotation reports whether an annotation of Portolan's prefix has no meaning,
// because it is misspelled or of a later release.
func isUnknownAnnotation(key string) bool {
	known := []string{
		v1.ServiceCIDRAnnotation, v1.NodePortRangeAnnotation, v1.LoadBalancerPoolAnnotation, v1.LoadBalancerIPsAnnotation,
		v1.LoadBalancerSharingKeyAnnotation, v1.AnnotationMirroredFrom, v1.AnnotationAdoptedFrom,
		v1.RetainAnnotation, v1.RetainForAnnotation,
	}
	return strings.HasPrefix(key, v1.GroupName+"/") && !slices.Contains(known, key)
}

// ServiceStatusWarnings warns of addresses in a Service's status that are not in
// canonical form, as upstream's status strategy does.
func ServiceStatusWarnings(service *v1.Service) []string {
	var warnings []string
	for i, ingress := range service.Status.LoadBalancer.Ingress {
		path := field.NewPath("status", "loadBalancer", "ingress").Index(i)
		warnings = append(warnings, ipWarnings(path, ingress.IP)...)
	}
	return warnings
}

// ipWarnings skips malformed addresses, which some fields accept. apimachinery would log
// them as a programming error.
func ipWarnings(path *field.Path, ip string) []string {
	if netutils.ParseIPSloppy(ip) == nil {
		return nil
	}
	return utilvalidation.GetWarningsForIP(path, ip)
}

// cidrWarnings is ipWarnings for CIDRs.
func cidrWarnings(path *field.Path, cidr string) []string {
	if _, _, err := netutils.ParseCIDRSloppy(cidr); err != nil {
		return nil
	}
	return utilvalidation.GetWarningsForCIDR(path, cidr)
}
