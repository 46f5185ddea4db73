package validation

import (
	"net/netip"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// ValidateServiceCIDRCreate validates a ServiceCIDR that a client creates. Rules and
// texts are those of upstream's ValidateServiceCIDR (pkg/apis/networking/validation). As
// in upstream, every prefix length is valid. Unlike upstream, Portolan can allocate from
// every prefix length, and so rejects a CIDR with addresses that no Service can have.
func ValidateServiceCIDRCreate(cidr *v1.ServiceCIDR) field.ErrorList {
	errs := ValidateObjectMeta(&cidr.ObjectMeta, false, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, validateCIDRs(cidr.Spec.CIDRs, nil)...)
	return Bounded(append(errs, validateRangePolicy(cidrPolicy(&cidr.Spec))...))
}

// ValidateServiceCIDRUpdate validates an update of a ServiceCIDR. Rules and texts are
// those of upstream's ValidateServiceCIDRUpdate: entries are immutable, and an entry of
// the other IP family can be appended. Which Services the range serves, which upstream
// does not know, can change.
func ValidateServiceCIDRUpdate(cidr, old *v1.ServiceCIDR) field.ErrorList {
	errs := ValidateObjectMetaUpdate(&cidr.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	errs = append(errs, validateRangePolicy(cidrPolicy(&cidr.Spec))...)
	now, before := cidr.Spec.CIDRs, old.Spec.CIDRs
	appended := len(before) == 1 && len(now) == 2
	if len(now) != len(before) && !appended {
		return Bounded(append(errs, field.Invalid(cidrsPath, now, apivalidation.FieldImmutableErrorMsg)))
	}
	for i := range before {
		if now[i] != before[i] {
			errs = append(errs, field.Invalid(cidrsPath.Index(i), now[i], apivalidation.FieldImmutableErrorMsg))
		}
	}
	if appended {
		errs = append(errs, validateCIDRs(now, before)...)
	}
	return Bounded(errs)
}

// ValidateServiceCIDRStatusUpdate validates an update of the status. Unlike upstream's
// function of the same name, it validates the conditions.
func ValidateServiceCIDRStatusUpdate(cidr, old *v1.ServiceCIDR) field.ErrorList {
	errs := ValidateObjectMetaUpdate(&cidr.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	return Bounded(append(errs, validateConditionsUpdate(cidr.Status.Conditions, old.Status.Conditions, statusPath.Child("conditions"))...))
}

var cidrsPath = field.NewPath("spec", "cidrs")

// validateCIDRs accepts unchanged stored CIDRs.
func validateCIDRs(cidrs, stored []string) field.ErrorList {
	if len(cidrs) == 0 {
		return field.ErrorList{field.Required(cidrsPath, "at least one CIDR required")}
	}
	if len(cidrs) > 2 {
		// Upstream prints its internal spec, which has no JSON names.
		value := struct{ CIDRs []string }{cidrs}
		return field.ErrorList{field.Invalid(cidrsPath, value, "may only hold up to 2 values")}
	}
	var errs field.ErrorList
	for i, cidr := range cidrs {
		if i < len(stored) && cidr == stored[i] {
			continue
		}
		if malformed := utilvalidation.IsValidCIDR(cidrsPath.Index(i), cidr); len(malformed) > 0 {
			errs = append(errs, malformed...)
		} else {
			errs = append(errs, validateNothingSpecial(cidr, cidrsPath.Index(i))...)
		}
	}
	if len(cidrs) == 2 {
		family := netutils.IPFamilyOfCIDRString(cidrs[0])
		if family != netutils.IPFamilyUnknown && family == netutils.IPFamilyOfCIDRString(cidrs[1]) {
			errs = append(errs, field.Invalid(cidrsPath, cidrs,
				"may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"))
		}
	}
	return errs
}

// special lists the addresses that have a different meaning on each node, or stand for
// many nodes (RFC 6890, RFC 5771, RFC 4291).
var special = []struct {
	prefix netip.Prefix
	text   string
}{
	{netip.MustParsePrefix("0.0.0.0/32"), "the unspecified address (0.0.0.0)"},
	{netip.MustParsePrefix("127.0.0.0/8"), "the loopback range (127.0.0.0/8)"},
	{netip.MustParsePrefix("224.0.0.0/4"), "the multicast range (224.0.0.0/4)"},
	{netip.MustParsePrefix("::/128"), "the unspecified address (::)"},
	{netip.MustParsePrefix("::1/128"), "the loopback address (::1)"},
	{netip.MustParsePrefix("ff00::/8"), "the multicast range (ff00::/8)"},
}

// validateNothingSpecial rejects a CIDR that overlaps a special one. Upstream accepts
// such a CIDR.
func validateNothingSpecial(cidr string, path *field.Path) field.ErrorList {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return field.ErrorList{field.Invalid(path, cidr, err.Error())}
	}
	var errs field.ErrorList
	for _, s := range special {
		if prefix.Overlaps(s.prefix) {
			errs = append(errs, field.Invalid(path, cidr, "must not overlap "+s.text))
		}
	}
	return errs
}
