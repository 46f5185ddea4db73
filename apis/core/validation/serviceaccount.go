package validation

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

// Limits of the lifetime of tokens in seconds, which are upstream's.
const (
	minTokenLifetime = 10 * 60
	maxTokenLifetime = 1 << 32
)

// ValidateServiceAccount validates a ServiceAccount (upstream's pkg/apis/core/validation).
func ValidateServiceAccount(account *corev1.ServiceAccount) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMeta(&account.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, metadataPath)
	return portolanvalidation.Bounded(errs)
}

// ValidateServiceAccountUpdate validates an update of a ServiceAccount.
func ValidateServiceAccountUpdate(account, old *corev1.ServiceAccount) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMetaUpdate(&account.ObjectMeta, &old.ObjectMeta, metadataPath)
	return portolanvalidation.Bounded(append(errs, ValidateServiceAccount(account)...))
}

// ValidateTokenRequest validates a TokenRequest (upstream's
// pkg/apis/authentication/validation).
func ValidateTokenRequest(request *authenticationv1.TokenRequest) field.ErrorList {
	path, seconds := field.NewPath("spec", "expirationSeconds"), ptr.Deref(request.Spec.ExpirationSeconds, 0)
	switch {
	case seconds < minTokenLifetime:
		return field.ErrorList{field.Invalid(path, seconds, "may not specify a duration less than 10 minutes")}
	case seconds > maxTokenLifetime:
		return field.ErrorList{field.Invalid(path, seconds, "may not specify a duration larger than 2^32 seconds")}
	}
	return nil
}
