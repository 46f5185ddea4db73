package validation

import (
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// ValidateServiceCIDRCreate says what is wrong with a ServiceCIDR that a client
// creates. The rules and texts are those of upstream's ValidateServiceCIDR
// (pkg/apis/networking/validation). Every prefix length is accepted, as there;
// unlike there, every one can be allocated from.
func ValidateServiceCIDRCreate(cidr *v1.ServiceCIDR) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&cidr.ObjectMeta, false, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	return append(errs, validateCIDRs(cidr.Spec.CIDRs)...)
}

// ValidateServiceCIDRUpdate says what is wrong with an update. The rules and
// texts are those of upstream's ValidateServiceCIDRUpdate: an entry can't be
// changed, one of the other IP family may be appended.
func ValidateServiceCIDRUpdate(cidr, old *v1.ServiceCIDR) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&cidr.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	now, before := cidr.Spec.CIDRs, old.Spec.CIDRs
	appended := len(before) == 1 && len(now) == 2
	if len(now) != len(before) && !appended {
		return append(errs, field.Invalid(cidrsPath, now, apivalidation.FieldImmutableErrorMsg))
	}
	for i := range before {
		if now[i] != before[i] {
			errs = append(errs, field.Invalid(cidrsPath.Index(i), now[i], apivalidation.FieldImmutableErrorMsg))
		}
	}
	if appended {
		errs = append(errs, validateCIDRs(now)...)
	}
	return errs
}

// ValidateServiceCIDRStatusUpdate says what is wrong with an update of the
// status. As upstream's ValidateServiceCIDRStatusUpdate it leaves the
// conditions alone.
func ValidateServiceCIDRStatusUpdate(cidr, old *v1.ServiceCIDR) field.ErrorList {
	return apivalidation.ValidateObjectMetaUpdate(&cidr.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
}

var cidrsPath = field.NewPath("spec", "cidrs")

func validateCIDRs(cidrs []string) field.ErrorList {
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
		errs = append(errs, utilvalidation.IsValidCIDR(cidrsPath.Index(i), cidr)...)
	}
	if len(cidrs) == 2 {
		family := netutils.IPFamilyOfCIDRString(cidrs[0])
		if family != netutils.IPFamilyUnknown && family == netutils.IPFamilyOfCIDRString(cidrs[1]) {
			errs = append(errs, field.Invalid(cidrsPath, cidrs, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"))
		}
	}
	return errs
}
