package validation

import (
	"maps"
	"slices"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// maxLimits is the most limits of a ClaimQuota. A Service that claims a value writes two keys
// for each limit that counts it.
const maxLimits = 16

var hardPath = specPath.Child("hard")

// ValidateClaimQuotaCreate validates a ClaimQuota that a client creates. Upstream has no such
// kind. The texts are those of ResourceQuotas where those have the same rule.
func ValidateClaimQuotaCreate(quota *v1.ClaimQuota) field.ErrorList {
	errs := ValidateObjectMeta(&quota.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, metadataPath)
	return Bounded(append(errs, validateHardLimits(quota.Spec.Hard)...))
}

// ValidateClaimQuotaUpdate validates an update of a ClaimQuota. Every limit can change.
func ValidateClaimQuotaUpdate(quota, old *v1.ClaimQuota) field.ErrorList {
	errs := ValidateObjectMetaUpdate(&quota.ObjectMeta, &old.ObjectMeta, metadataPath)
	return Bounded(append(errs, validateHardLimits(quota.Spec.Hard)...))
}

func validateHardLimits(hard map[string]int64) field.ErrorList {
	if len(hard) == 0 {
		return field.ErrorList{field.Required(hardPath, "at least one limit is required")}
	}
	var errs field.ErrorList
	if len(hard) > maxLimits {
		errs = append(errs, field.TooMany(hardPath, len(hard), maxLimits))
	}
	for _, key := range slices.Sorted(maps.Keys(hard)) {
		path := hardPath.Key(key)
		resource, rangeName, ranged := v1.SplitQuotaKey(key)
		if !slices.Contains(v1.QuotaResources(), resource) {
			errs = append(errs, field.NotSupported(path, resource, v1.QuotaResources()))
		}
		if ranged {
			errs = append(errs, validateDNS1123Subdomain(rangeName, path)...)
		}
		if limit := hard[key]; limit < 0 {
			errs = append(errs, field.Invalid(path, limit, apivalidation.IsNegativeErrorMsg))
		}
	}
	return errs
}
