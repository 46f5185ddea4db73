package validation

import (
	"time"

	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// ValidateIPAddressCreate validates an IPAddress that a client creates. Rules and texts
// are those of upstream's ValidateIPAddress (pkg/apis/networking/validation).
func ValidateIPAddressCreate(address *v1.IPAddress, now time.Time) field.ErrorList {
	return Bounded(append(validateIPAddress(address), validateReservation(address.Spec.ParentRef, address.Spec.ExpirationTimestamp, now)...))
}

// ValidateIPAddressUpdate validates an update of an IPAddress. Rules and texts are those
// of upstream's ValidateIPAddressUpdate.
func ValidateIPAddressUpdate(address, old *v1.IPAddress) field.ErrorList {
	errs := validateIPAddress(address)
	errs = append(errs, ValidateObjectMetaUpdate(&address.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))...)
	return Bounded(append(errs, validateParentRefUnchanged(address.Spec.ParentRef, old.Spec.ParentRef)...))
}

func validateIPAddress(address *v1.IPAddress) field.ErrorList {
	errs := ValidateObjectMeta(&address.ObjectMeta, false, validateIPAddressName, field.NewPath("metadata"))
	return append(errs, validateParentRef(address.Spec.ParentRef)...)
}

func validateIPAddressName(name string, _ bool) []string {
	var problems []string
	for _, err := range utilvalidation.IsValidIP(nil, name) {
		problems = append(problems, err.Detail)
	}
	return problems
}

var parentRefPath = field.NewPath("spec", "parentRef")

func validateParentRef(ref *v1.ParentReference) field.ErrorList {
	if ref == nil {
		return field.ErrorList{field.Required(parentRefPath, "")}
	}
	var errs field.ErrorList
	// The group is optional, because the core group is the empty string.
	if ref.Group != "" {
		errs = append(errs, validateDNS1123Subdomain(ref.Group, parentRefPath.Child("group"))...)
	}
	errs = append(errs, validatePathSegment(parentRefPath.Child("resource"), ref.Resource, true)...)
	errs = append(errs, validatePathSegment(parentRefPath.Child("name"), ref.Name, true)...)
	return append(errs, validatePathSegment(parentRefPath.Child("namespace"), ref.Namespace, false)...)
}

func validatePathSegment(path *field.Path, value string, required bool) field.ErrorList {
	if value == "" {
		if required {
			return field.ErrorList{field.Required(path, "")}
		}
		return nil
	}
	return Invalid(path, value, content.IsPathSegmentName(value))
}

// validateReservation validates what a claim that a client creates says as a reservation.
func validateReservation(ref *v1.ParentReference, expires *metav1.Time, now time.Time) field.ErrorList {
	var errs field.ErrorList
	if ref != nil && ref.UID != "" {
		errs = append(errs, field.Forbidden(parentRefPath.Child("uid"), "is set by the server for the Service that holds the claim"))
	}
	if expires != nil && !expires.After(now) {
		errs = append(errs, field.Invalid(specPath.Child("expirationTimestamp"), expires.UTC().Format(time.RFC3339), "must be in the future"))
	}
	return errs
}

func validateParentRefUnchanged(ref, old *v1.ParentReference) field.ErrorList {
	switch {
	case ref == nil && old == nil, ref != nil && old != nil && *ref == *old:
		return nil
	case ref == nil:
		return field.ErrorList{field.Invalid(parentRefPath, nil, apivalidation.FieldImmutableErrorMsg)}
	}
	// Upstream prints its internal type, which has no JSON names.
	value := struct{ Group, Resource, Namespace, Name string }{ref.Group, ref.Resource, ref.Namespace, ref.Name}
	return field.ErrorList{field.Invalid(parentRefPath, value, apivalidation.FieldImmutableErrorMsg)}
}
