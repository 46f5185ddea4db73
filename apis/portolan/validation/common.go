// Package validation validates the objects of portolan.dev.
//
// The rules, their field paths and their texts are those of upstream's
// pkg/apis/core/validation and pkg/apis/discovery/validation, because clients match on
// them. Comments name the differences. As in upstream, an update accepts some invalid
// values that are already stored.
//
// The package does not check whether an address or port is free or in a range. Package
// claims does.
package validation

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

var (
	metadataPath = field.NewPath("metadata")
	specPath     = field.NewPath("spec")
	statusPath   = field.NewPath("status")
)

var portProtocols = []corev1.Protocol{corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP}

// maxErrors is the most errors that a response lists. Formatting them takes time and
// memory quadratic in their number, and a request can contain hundreds of thousands.
const maxErrors = 200

// Bounded truncates errors to the number that a response lists. If there are more, the
// last one says so. Upstream lists all of them, even if that takes hours.
func Bounded(errs field.ErrorList) field.ErrorList {
	if len(errs) <= maxErrors {
		return errs
	}
	last := *errs[maxErrors-1]
	// The error can already have the suffix, from an earlier call for a part.
	const more = "; there are more errors, which are not listed"
	last.Detail = strings.TrimSuffix(last.Detail, more) + more
	return append(errs[:maxErrors-1:maxErrors-1], &last)
}

// Invalid makes an error of each message of one of apimachinery's checks.
func Invalid(path *field.Path, value any, messages []string) field.ErrorList {
	var errs field.ErrorList
	for _, message := range messages {
		errs = append(errs, field.Invalid(path, value, message))
	}
	return errs
}

func validateDNS1123Label(value string, path *field.Path) field.ErrorList {
	return Invalid(path, value, utilvalidation.IsDNS1123Label(value))
}

func validateDNS1123Subdomain(value string, path *field.Path) field.ErrorList {
	return Invalid(path, value, utilvalidation.IsDNS1123Subdomain(value))
}

func validateQualifiedName(value string, path *field.Path) field.ErrorList {
	return Invalid(path, value, utilvalidation.IsQualifiedName(value))
}

func validatePortNumber(value int32, path *field.Path) field.ErrorList {
	return Invalid(path, value, utilvalidation.IsValidPortNum(int(value)))
}

// validateLegacyIP validates an address, unless it is stored: older releases had laxer
// rules (KEP-4858). Stored is a set, because apimachinery's functions search a list and
// take too long if both lists have tens of thousands of entries.
func validateLegacyIP(value string, stored sets.Set[string], path *field.Path) field.ErrorList {
	if stored.Has(value) {
		return nil
	}
	return utilvalidation.IsValidIPForLegacyField(path, value, true, nil)
}

// validateLegacyCIDR is validateLegacyIP for CIDRs.
func validateLegacyCIDR(value string, stored sets.Set[string], path *field.Path) field.ErrorList {
	if stored.Has(value) {
		return nil
	}
	return utilvalidation.IsValidCIDRForLegacyField(path, value, true, nil)
}

// validateConditionsUpdate validates the conditions that an update adds or changes.
// Upstream validates none, so stored conditions can be invalid.
func validateConditionsUpdate(conditions, old []metav1.Condition, path *field.Path) field.ErrorList {
	stored := make(map[string][]metav1.Condition, len(old))
	for _, condition := range old {
		stored[condition.Type] = append(stored[condition.Type], condition)
	}
	var errs field.ErrorList
	seen := make(map[string]int, len(conditions))
	for i, condition := range conditions {
		known := stored[condition.Type]
		if nth := seen[condition.Type]; nth < len(known) && equality.Semantic.DeepEqual(condition, known[nth]) {
			seen[condition.Type]++
			continue
		}
		if seen[condition.Type] > 0 {
			errs = append(errs, field.Duplicate(path.Index(i), condition.Type))
		}
		seen[condition.Type]++
		if condition.LastTransitionTime.IsZero() {
			// Kubernetes' conformance tests of Services set conditions without one.
			condition.LastTransitionTime = metav1.Unix(0, 0)
		}
		errs = append(errs, metav1validation.ValidateCondition(condition, path.Index(i))...)
	}
	return errs
}

// ValidateEndpointIP rejects addresses that have a different meaning on each node,
// except those in the given loopback networks. As in upstream, multicast addresses that
// are not link-local are valid.
func ValidateEndpointIP(value string, loopback []netip.Prefix, path *field.Path) field.ErrorList {
	ip := netutils.ParseIPSloppy(value)
	var message string
	switch {
	case ip == nil:
		message = "must be a valid IP address"
	case ip.IsUnspecified():
		message = fmt.Sprintf("may not be unspecified (%v)", value)
	case ip.IsLoopback() && !within(ip, loopback):
		message = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
	case ip.IsLinkLocalUnicast():
		message = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
	case ip.IsLinkLocalMulticast():
		message = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
	default:
		return nil
	}
	return field.ErrorList{field.Invalid(path, value, message)}
}

func within(ip net.IP, networks []netip.Prefix) bool {
	address, _ := netip.AddrFromSlice(ip)
	return slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(address.Unmap()) })
}
