package validation

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

const setForHolders = "is set by the server for the Services that hold the claim"

// ValidateLoadBalancerIPCreate validates a LoadBalancerIP that a client creates, which is
// a reservation. Upstream has no such kind. The rules of the name and of the parent are
// those of IPAddresses.
func ValidateLoadBalancerIPCreate(claim *v1.LoadBalancerIP, now time.Time) field.ErrorList {
	errs := ValidateObjectMeta(&claim.ObjectMeta, false, validateIPAddressName, metadataPath)
	errs = append(errs, validateParentRef(claim.Spec.ParentRef)...)
	errs = append(errs, validateReservation(claim.Spec.ParentRef, claim.Spec.ExpirationTimestamp, now)...)
	return Bounded(append(errs, validateSetByServer(&claim.Spec, &v1.LoadBalancerIPSpec{})...))
}

// ValidateLoadBalancerIPUpdate validates an update of a LoadBalancerIP. Clients can change
// when a reservation ends, and nothing else of the spec.
func ValidateLoadBalancerIPUpdate(claim, old *v1.LoadBalancerIP) field.ErrorList {
	errs := ValidateObjectMetaUpdate(&claim.ObjectMeta, &old.ObjectMeta, metadataPath)
	errs = append(errs, validateParentRefUnchanged(claim.Spec.ParentRef, old.Spec.ParentRef)...)
	return Bounded(append(errs, validateSetByServer(&claim.Spec, &old.Spec)...))
}

func validateSetByServer(spec, old *v1.LoadBalancerIPSpec) field.ErrorList {
	var errs field.ErrorList
	if spec.SharingKey != old.SharingKey {
		errs = append(errs, field.Forbidden(specPath.Child("sharingKey"), setForHolders))
	}
	same := func(a, b v1.LoadBalancerIPHolder) bool { return equality.Semantic.DeepEqual(a, b) }
	if !slices.EqualFunc(spec.Holders, old.Holders, same) {
		errs = append(errs, field.Forbidden(specPath.Child("holders"), setForHolders))
	}
	return errs
}
