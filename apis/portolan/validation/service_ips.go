package validation

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

var (
	clusterIPsPath     = specPath.Child("clusterIPs")
	ipFamiliesPath     = specPath.Child("ipFamilies")
	ipFamilyPolicyPath = specPath.Child("ipFamilyPolicy")
)

var (
	ipFamilies       = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	ipFamilyPolicies = []corev1.IPFamilyPolicy{
		corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack,
	}
)

// ValidateServiceClusterIPs checks that clusterIP, clusterIPs, ipFamilies and
// ipFamilyPolicy are well formed and consistent. The rules are those of upstream's
// ValidateServiceClusterIPsRelatedFields (KEP-563). old is nil on create.
//
// It is exported for package service, which infers these fields from each other and must
// validate them first.
func ValidateServiceClusterIPs(service, old *v1.Service) field.ErrorList {
	// An ExternalName Service must have none of the fields; validateExternalName checks
	// that.
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	errs := validateClusterIPsInSync(service)
	errs = append(errs, validateIPFamilies(service)...)

	ips := service.Spec.ClusterIPs
	malformed := validateClusterIPs(service, old)
	errs = append(errs, malformed...)
	if len(ips) > 2 {
		errs = append(errs, field.Invalid(clusterIPsPath, ips, "may only hold up to 2 values"))
	}
	// The following checks compare addresses and would report a malformed one again.
	if len(malformed) > 0 {
		return Bounded(errs)
	}
	if len(ips) > 1 {
		dualStack, err := netutils.IsDualStackIPStrings(ips)
		if err != nil {
			errs = append(errs, field.InternalError(clusterIPsPath, fmt.Errorf("failed to check for dual stack with error:%w", err)))
		}
		if !dualStack {
			errs = append(errs, field.Invalid(clusterIPsPath, ips, "may specify no more than one IP for each IP family"))
		}
	}
	return Bounded(append(errs, validateIPsMatchFamilies(service)...))
}

func validateClusterIPsInSync(service *v1.Service) field.ErrorList {
	ip, ips := service.Spec.ClusterIP, service.Spec.ClusterIPs
	switch {
	case ip == "" && len(ips) > 0:
		return field.ErrorList{field.Invalid(clusterIPsPath, ips, "must be empty when `clusterIP` is not specified")}
	case ip != "" && len(ips) == 0:
		return field.ErrorList{field.Required(clusterIPsPath, "")}
	case ip != "" && ips[0] != ip:
		return field.ErrorList{field.Invalid(clusterIPsPath, ips, "first value must match `clusterIP`")}
	}
	return nil
}

func validateIPFamilies(service *v1.Service) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[corev1.IPFamily]()
	for i, family := range service.Spec.IPFamilies {
		if !slices.Contains(ipFamilies, family) {
			errs = append(errs, field.NotSupported(ipFamiliesPath.Index(i), family, ipFamilies))
		}
		if seen.Has(family) {
			errs = append(errs, field.Duplicate(ipFamiliesPath.Index(i), family))
		}
		seen.Insert(family)
	}
	if policy := service.Spec.IPFamilyPolicy; policy != nil && !slices.Contains(ipFamilyPolicies, *policy) {
		errs = append(errs, field.NotSupported(ipFamilyPolicyPath, *policy, ipFamilyPolicies))
	}
	return errs
}

func validateClusterIPs(service, old *v1.Service) field.ErrorList {
	var stored sets.Set[string]
	if old != nil {
		stored = sets.New(old.Spec.ClusterIPs...)
	}
	var errs field.ErrorList
	ips := service.Spec.ClusterIPs
	for i, ip := range ips {
		if i == 0 && ip == corev1.ClusterIPNone {
			if len(ips) > 1 {
				errs = append(errs, field.Invalid(clusterIPsPath, ips, "'None' must be the first and only value"))
			}
			continue
		}
		errs = append(errs, validateLegacyIP(ip, stored, clusterIPsPath.Index(i))...)
	}
	return errs
}

func validateIPsMatchFamilies(service *v1.Service) field.ErrorList {
	if isHeadless(service) {
		return nil
	}
	var errs field.ErrorList
	families := service.Spec.IPFamilies
	for i, ip := range service.Spec.ClusterIPs {
		if i >= len(families) || !slices.Contains(ipFamilies, families[i]) {
			continue
		}
		if netutils.IsIPv6String(ip) != (families[i] == corev1.IPv6Protocol) {
			errs = append(errs, field.Invalid(clusterIPsPath.Index(i), ip,
				fmt.Sprintf("expected an %s value as indicated by `ipFamilies[%d]`", families[i], i)))
		}
	}
	return errs
}

// validateClusterIPsUpdate rejects a change of addresses. The second address can be
// added, and removed with the policy SingleStack. A change to or from ExternalName can
// change all of them.
func validateClusterIPsUpdate(service, old *v1.Service) field.ErrorList {
	if isExternalName(service) || isExternalName(old) || isHeadless(service) && isHeadless(old) {
		return nil
	}
	var errs field.ErrorList
	ips, oldIPs := service.Spec.ClusterIPs, old.Spec.ClusterIPs
	if len(ips) == 0 && len(oldIPs) > 0 {
		return field.ErrorList{field.Invalid(clusterIPsPath.Index(0), ips, "primary clusterIP can not be unset")}
	}
	compared := oldIPs
	if len(ips) != len(oldIPs) {
		compared = oldIPs[:min(1, len(oldIPs))]
	}
	for i := range compared {
		if ips[i] != oldIPs[i] {
			errs = append(errs, field.Invalid(clusterIPsPath.Index(i), ips, "may not change once set"))
		}
	}
	if len(ips) == 1 && len(oldIPs) > 1 && ptr.Deref(service.Spec.IPFamilyPolicy, "") != corev1.IPFamilyPolicySingleStack {
		errs = append(errs, field.Invalid(ipFamilyPolicyPath, service.Spec.IPFamilyPolicy,
			"must be set to 'SingleStack' when releasing the secondary clusterIP"))
	}
	return errs
}

// validateIPFamiliesUpdate is validateClusterIPsUpdate for IP families, except that a
// headless Service can change them freely.
func validateIPFamiliesUpdate(service, old *v1.Service) field.ErrorList {
	if isExternalName(service) || isExternalName(old) || isHeadless(service) || isHeadless(old) {
		return nil
	}
	var errs field.ErrorList
	families, oldFamilies := service.Spec.IPFamilies, old.Spec.IPFamilies
	// Upstream reports every change with the path of the first family.
	first := ipFamiliesPath.Index(0)
	if len(families) < len(oldFamilies) && len(service.Spec.ClusterIPs) == 0 {
		errs = append(errs, field.Invalid(first, families, "primary ipFamily can not be unset"))
	}
	compared := min(len(families), len(oldFamilies))
	if len(families) != len(oldFamilies) {
		compared = min(1, compared)
	}
	for i := range compared {
		if families[i] != oldFamilies[i] {
			errs = append(errs, field.Invalid(first, families, "may not change once set"))
		}
	}
	if len(families) == 1 && len(oldFamilies) > 1 && ptr.Deref(service.Spec.IPFamilyPolicy, "") != corev1.IPFamilyPolicySingleStack {
		errs = append(errs, field.Invalid(ipFamilyPolicyPath, service.Spec.IPFamilyPolicy,
			"must be set to 'SingleStack' when releasing the secondary ipFamily"))
	}
	return errs
}

// validateExternalIPs accepts malformed stored values, because older releases had laxer
// rules.
func validateExternalIPs(service, old *v1.Service) field.ErrorList {
	var stored sets.Set[string]
	if old != nil {
		stored = sets.New(old.Spec.ExternalIPs...)
	}
	var errs field.ErrorList
	for i, ip := range service.Spec.ExternalIPs {
		path := specPath.Child("externalIPs").Index(i)
		if malformed := validateLegacyIP(ip, stored, path); len(malformed) > 0 {
			errs = append(errs, malformed...)
		} else {
			errs = append(errs, ValidateEndpointIP(ip, nil, path)...)
		}
	}
	return errs
}

func isHeadless(service *v1.Service) bool {
	return len(service.Spec.ClusterIPs) == 1 && service.Spec.ClusterIPs[0] == corev1.ClusterIPNone
}

func isExternalName(service *v1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeExternalName
}
