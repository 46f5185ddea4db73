package validation

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

// ValidateLease validates a Lease (upstream's pkg/apis/coordination/validation).
func ValidateLease(lease *coordinationv1.Lease) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&lease.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, metadataPath)
	return portolanvalidation.Bounded(append(errs, validateLeaseSpec(&lease.Spec)...))
}

// ValidateLeaseUpdate validates an update of a Lease.
func ValidateLeaseUpdate(lease, old *coordinationv1.Lease) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&lease.ObjectMeta, &old.ObjectMeta, metadataPath)
	return portolanvalidation.Bounded(append(errs, validateLeaseSpec(&lease.Spec)...))
}

func validateLeaseSpec(spec *coordinationv1.LeaseSpec) field.ErrorList {
	var errs field.ErrorList
	if seconds := spec.LeaseDurationSeconds; seconds != nil && *seconds <= 0 {
		errs = append(errs, field.Invalid(specPath.Child("leaseDurationSeconds"), *seconds, "must be greater than 0"))
	}
	if transitions := spec.LeaseTransitions; transitions != nil && *transitions < 0 {
		errs = append(errs, field.Invalid(specPath.Child("leaseTransitions"), *transitions, "must be greater than or equal to 0"))
	}
	return errs
}
