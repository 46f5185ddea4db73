package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

// standardResources are the resources whose names are not qualified (upstream's
// pkg/apis/core/helper). Containers can have the first ones.
var (
	containerResources = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}
	integerResources   = []corev1.ResourceName{
		corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers, corev1.ResourceSecrets,
		corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims, corev1.ResourceServicesNodePorts,
		corev1.ResourceServicesLoadBalancers,
	}
	standardResources = slices.Concat(containerResources, integerResources, []corev1.ResourceName{
		corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsEphemeralStorage, corev1.ResourceRequestsStorage,
		corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage, corev1.ResourceStorage,
	})
)

// validateResources validates what a container requests and its limits. It does not
// validate claims.
func validateResources(required *corev1.ResourceRequirements, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	limits, requests := path.Child("limits"), path.Child("requests")
	for _, name := range slices.Sorted(maps.Keys(required.Limits)) {
		errs = append(errs, validateQuantity(name, required.Limits[name], limits.Key(string(name)))...)
	}
	for _, name := range slices.Sorted(maps.Keys(required.Requests)) {
		quantity := required.Requests[name]
		errs = append(errs, validateQuantity(name, quantity, requests.Key(string(name)))...)
		limit, limited := required.Limits[name]
		shared := isNative(name) && !isHugePage(name)
		switch {
		case !limited && !shared:
			errs = append(errs, field.Required(limits, "Limit must be set for non overcommitable resources"))
		case limited && !shared && quantity.Cmp(limit) != 0:
			errs = append(errs, field.Invalid(requests, quantity.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String())))
		case limited && quantity.Cmp(limit) > 0:
			errs = append(errs, field.Invalid(requests, quantity.String(),
				fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String())))
		}
	}
	return errs
}

func validateQuantity(name corev1.ResourceName, quantity resource.Quantity, path *field.Path) field.ErrorList {
	errs := validateResourceName(name, path)
	if quantity.Sign() < 0 {
		errs = append(errs, field.Invalid(path, quantity.String(), apivalidation.IsNegativeErrorMsg))
	}
	if (slices.Contains(integerResources, name) || isExtended(name)) && quantity.MilliValue()%1000 != 0 {
		errs = append(errs, field.Invalid(path, quantity, "must be an integer"))
	}
	return errs
}

func validateResourceName(name corev1.ResourceName, path *field.Path) field.ErrorList {
	errs := portolanvalidation.Invalid(path, name, utilvalidation.IsQualifiedName(string(name)))
	qualified := strings.Contains(string(name), "/")
	if len(errs) == 0 && !qualified && !slices.Contains(standardResources, name) && !isHugePage(name) {
		errs = append(errs, field.Invalid(path, name, "must be a standard resource type or fully qualified"))
	}
	switch {
	case !qualified && !slices.Contains(containerResources, name) && !isHugePage(name):
		errs = append(errs, field.Invalid(path, name, "must be a standard resource for containers"))
	case !isNative(name) && !isExtended(name):
		errs = append(errs, field.Invalid(path, name, "doesn't follow extended resource name standard"))
	}
	return errs
}

func isHugePage(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// isNative reports whether a resource is Kubernetes' own.
func isNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// isExtended reports whether a resource is another's. A quota must be able to name it.
func isExtended(name corev1.ResourceName) bool {
	const ofQuota = corev1.DefaultResourceRequestsPrefix
	return !isNative(name) && !strings.HasPrefix(string(name), ofQuota) && len(utilvalidation.IsQualifiedName(ofQuota+string(name))) == 0
}
