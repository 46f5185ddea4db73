package service

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

var (
	clusterIPsPath     = field.NewPath("spec", "clusterIPs")
	ipFamiliesPath     = field.NewPath("spec", "ipFamilies")
	ipFamilyPolicyPath = field.NewPath("spec", "ipFamilyPolicy")
)

// DefaultIPFamilies sets ipFamilyPolicy and ipFamilies for a cluster whose ServiceCIDRs
// have the given families, the primary one first. On update it comes after Inherit. It
// changes only after, which must not be stored if there are errors.
//
// The errors are those of upstream's allocator (KEP-563) and include those of
// validation.ValidateServiceClusterIPs, as nothing can be inferred from malformed fields.
func DefaultIPFamilies(after After, before Before, cluster []corev1.IPFamily) field.ErrorList {
	if isExternalName(after.Service) || keepsPreferDualStack(after, before) {
		return nil
	}
	if after.Spec.IPFamilyPolicy == nil {
		after.Spec.IPFamilyPolicy = ptr.To(defaultIPFamilyPolicy(after.Service))
	}
	if errs := validation.ValidateServiceClusterIPs(after.Service, before.Service); len(errs) > 0 {
		return errs
	}
	errs := releaseSecondary(after, before)
	errs = append(errs, checkSingleStack(after.Service)...)
	errs = append(errs, inferIPFamilies(after.Service, cluster)...)
	if len(errs) > 0 {
		return errs
	}
	if isHeadlessWithoutSelector(after.Service) {
		fillIPFamiliesWithoutSelector(after.Service, cluster)
		return nil
	}
	return fillIPFamilies(after.Service, cluster)
}

// keepsPreferDualStack reports whether the Service prefers two families and the client
// changed nothing about that. Such a Service gains or loses a family by an update of its
// own, never because the cluster did.
func keepsPreferDualStack(after After, before Before) bool {
	return before.Service != nil &&
		after.Spec.Type == before.Spec.Type &&
		ptr.Deref(after.Spec.IPFamilyPolicy, "") == corev1.IPFamilyPolicyPreferDualStack &&
		ptr.Deref(before.Spec.IPFamilyPolicy, corev1.IPFamilyPolicyPreferDualStack) == corev1.IPFamilyPolicyPreferDualStack &&
		slices.Equal(after.Spec.ClusterIPs, before.Spec.ClusterIPs) &&
		slices.Equal(after.Spec.IPFamilies, before.Spec.IPFamilies)
}

func defaultIPFamilyPolicy(service *v1.Service) corev1.IPFamilyPolicy {
	if isHeadlessWithoutSelector(service) {
		return corev1.IPFamilyPolicyRequireDualStack
	}
	return corev1.IPFamilyPolicySingleStack
}

// releaseSecondary drops the second address and family for SingleStack, where the client
// left the lists as they were. For the other policies it rejects a shorter list, which is
// more likely a mistake.
func releaseSecondary(after After, before Before) field.ErrorList {
	if before.Service == nil {
		return nil
	}
	spec, old := &after.Spec, &before.Spec
	if isSingleStack(after.Service) {
		if len(spec.ClusterIPs) > 1 && slices.Equal(spec.ClusterIPs, old.ClusterIPs) {
			spec.ClusterIPs = slices.Clone(spec.ClusterIPs[:1])
		}
		if len(spec.IPFamilies) > 1 && slices.Equal(spec.IPFamilies, old.IPFamilies) {
			spec.IPFamilies = slices.Clone(spec.IPFamilies[:1])
		}
		return nil
	}
	var errs field.ErrorList
	if n := len(spec.ClusterIPs); n > 0 && n < len(old.ClusterIPs) {
		errs = append(errs, field.Invalid(ipFamilyPolicyPath, spec.IPFamilyPolicy, "must be 'SingleStack' to release the secondary cluster IP"))
	}
	if n := len(spec.IPFamilies); n > 0 && n < len(old.IPFamilies) {
		errs = append(errs, field.Invalid(ipFamilyPolicyPath, spec.IPFamilyPolicy, "must be 'SingleStack' to release the secondary IP family"))
	}
	return errs
}

func checkSingleStack(service *v1.Service) field.ErrorList {
	if !isSingleStack(service) {
		return nil
	}
	var errs field.ErrorList
	policy := service.Spec.IPFamilyPolicy
	if len(service.Spec.ClusterIPs) == 2 {
		errs = append(errs, field.Invalid(ipFamilyPolicyPath, policy,
			"must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified"))
	}
	if len(service.Spec.IPFamilies) == 2 {
		errs = append(errs, field.Invalid(ipFamilyPolicyPath, policy,
			"must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"))
	}
	return errs
}

// inferIPFamilies infers families from addresses. It reports a family that the cluster
// lacks for the address, which the client wrote, and not for the family.
func inferIPFamilies(service *v1.Service, cluster []corev1.IPFamily) field.ErrorList {
	var errs field.ErrorList
	families := slices.Clip(service.Spec.IPFamilies)
	for i, ip := range service.Spec.ClusterIPs {
		if ip == corev1.ClusterIPNone {
			break
		}
		if i < len(families) {
			continue
		}
		family := familyOf(ip)
		if !slices.Contains(cluster, family) {
			errs = append(errs, field.Invalid(clusterIPsPath.Index(i), service.Spec.ClusterIPs,
				fmt.Sprintf("%s is not configured on this cluster", family)))
			continue
		}
		families = append(families, family)
	}
	service.Spec.IPFamilies = families
	return errs
}

// fillIPFamiliesWithoutSelector does not check the families of the cluster: the writer of
// the endpoints decides their families.
func fillIPFamiliesWithoutSelector(service *v1.Service, cluster []corev1.IPFamily) {
	families := slices.Clip(service.Spec.IPFamilies)
	if len(families) == 0 {
		families = []corev1.IPFamily{primaryFamily(cluster)}
	}
	if len(families) == 1 && !isSingleStack(service) {
		families = append(families, otherFamily(families[0]))
	}
	service.Spec.IPFamilies = families
}

func fillIPFamilies(service *v1.Service, cluster []corev1.IPFamily) field.ErrorList {
	var errs field.ErrorList
	dualStack := slices.Contains(cluster, corev1.IPv4Protocol) && slices.Contains(cluster, corev1.IPv6Protocol)
	if policy := service.Spec.IPFamilyPolicy; *policy == corev1.IPFamilyPolicyRequireDualStack && !dualStack {
		errs = append(errs, field.Invalid(ipFamilyPolicyPath, policy, "this cluster is not configured for dual-stack services"))
	}
	families := slices.Clip(service.Spec.IPFamilies)
	if len(families) == 0 {
		families = []corev1.IPFamily{primaryFamily(cluster)}
	}
	for i, family := range families {
		if !slices.Contains(cluster, family) {
			errs = append(errs, field.Invalid(ipFamiliesPath.Index(i), family, "not configured on this cluster"))
		}
	}
	if len(errs) > 0 {
		return errs
	}
	if len(families) == 1 && dualStack && !isSingleStack(service) {
		families = append(families, otherFamily(families[0]))
	}
	service.Spec.IPFamilies = families
	return nil
}

func isSingleStack(service *v1.Service) bool {
	return *service.Spec.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack
}

func isHeadlessWithoutSelector(service *v1.Service) bool {
	return IsHeadless(service) && len(service.Spec.Selector) == 0
}

// primaryFamily returns IPv4 for a cluster without a ServiceCIDR, so that headless Services
// work there.
func primaryFamily(cluster []corev1.IPFamily) corev1.IPFamily {
	if len(cluster) == 0 {
		return corev1.IPv4Protocol
	}
	return cluster[0]
}

func otherFamily(family corev1.IPFamily) corev1.IPFamily {
	if family == corev1.IPv4Protocol {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}

func familyOf(ip string) corev1.IPFamily {
	if netutils.IsIPv6String(ip) {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}

// OpenClusterIP is an address that a Service needs and does not have.
type OpenClusterIP struct {
	// Index in spec.ipFamilies and in spec.clusterIPs, which may be shorter.
	Index int
	// Family of the address.
	Family corev1.IPFamily
}

// OpenClusterIPs returns the addresses that the Service needs and does not have, one for
// each of its IP families without an address. DefaultIPFamilies must have set the families.
func OpenClusterIPs(service *v1.Service) []OpenClusterIP {
	if !NeedsClusterIP(service) {
		return nil
	}
	var open []OpenClusterIP
	for i, family := range service.Spec.IPFamilies {
		if i >= len(service.Spec.ClusterIPs) || service.Spec.ClusterIPs[i] == "" {
			open = append(open, OpenClusterIP{Index: i, Family: family})
		}
	}
	return open
}

// ClusterIPs returns the addresses that the Service claims, in canonical form: two
// spellings of an address are one claim. Upstream compares spellings, and so it releases
// addresses that are in use. Texts that are not addresses, such as None, are left out.
// Leading zeros, which old Services may have, are read as decimal.
func ClusterIPs(service *v1.Service) []netip.Addr {
	if !NeedsClusterIP(service) {
		return nil
	}
	spellings := service.Spec.ClusterIPs
	if len(spellings) == 0 {
		// Stored before clusterIPs existed, and not yet normalized.
		spellings = []string{service.Spec.ClusterIP}
	}
	var claims []netip.Addr
	for _, spelling := range spellings {
		addr, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(spelling))
		if addr = addr.Unmap(); ok && !slices.Contains(claims, addr) {
			claims = append(claims, addr)
		}
	}
	return claims
}
