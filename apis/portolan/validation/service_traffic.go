package validation

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

var (
	externalTrafficPolicies = []corev1.ServiceExternalTrafficPolicy{
		corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal,
	}
	internalTrafficPolicies = []corev1.ServiceInternalTrafficPolicy{
		corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal,
	}
	trafficDistributions = []string{corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone,
		corev1.ServiceTrafficDistributionPreferSameNode}
)

var healthCheckNodePortPath = specPath.Child("healthCheckNodePort")

// validateTopologyAnnotations wants the new and the deprecated annotation to agree.
func validateTopologyAnnotations(service *v1.Service) field.ErrorList {
	const modeKey, hintsKey = corev1.AnnotationTopologyMode, corev1.DeprecatedAnnotationTopologyAwareHints
	mode, hasMode := service.Annotations[modeKey]
	hints, hasHints := service.Annotations[hintsKey]
	if !hasMode || !hasHints || mode == hints {
		return nil
	}
	return field.ErrorList{field.Invalid(metadataPath.Child("annotations").Key(modeKey), mode,
		fmt.Sprintf("must match annotations[%s] when both are specified", hintsKey))}
}

func validateExternalTrafficPolicy(service *v1.Service) field.ErrorList {
	path := specPath.Child("externalTrafficPolicy")
	policy := service.Spec.ExternalTrafficPolicy
	externallyAccessible := isLoadBalancer(service) || service.Spec.Type == corev1.ServiceTypeNodePort ||
		service.Spec.Type == corev1.ServiceTypeClusterIP && len(service.Spec.ExternalIPs) > 0
	switch {
	case !externallyAccessible && policy != "":
		return field.ErrorList{field.Invalid(path, policy, "may only be set for externally-accessible services")}
	case externallyAccessible && policy == "":
		return field.ErrorList{field.Required(path, "")}
	case externallyAccessible && !slices.Contains(externalTrafficPolicies, policy):
		return field.ErrorList{field.NotSupported(path, policy, externalTrafficPolicies)}
	}
	return nil
}

// validateHealthCheckNodePort also rejects one of the Service's own node ports. Upstream
// rejects that in its allocator, with an internal error.
func validateHealthCheckNodePort(service, old *v1.Service) field.ErrorList {
	healthCheck := service.Spec.HealthCheckNodePort
	if !needsHealthCheckNodePort(service) {
		if healthCheck == 0 {
			return nil
		}
		return field.ErrorList{field.Invalid(healthCheckNodePortPath, healthCheck,
			"may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")}
	}
	if healthCheck == 0 {
		// As with node ports, admission picks one or rejects the request.
		return nil
	}
	errs := validatePortNumber(healthCheck, healthCheckNodePortPath)
	const taken = "provided port is already allocated"
	i := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.NodePort == healthCheck })
	switch {
	case i < 0:
	case old != nil && needsHealthCheckNodePort(old) && old.Spec.HealthCheckNodePort == healthCheck:
		// The health check port existed before the node port.
		errs = append(errs, field.Invalid(portsPath.Index(i).Child("nodePort"), healthCheck, taken))
	default:
		errs = append(errs, field.Invalid(healthCheckNodePortPath, healthCheck, taken))
	}
	return errs
}

func validateHealthCheckNodePortUpdate(service, old *v1.Service) field.ErrorList {
	if needsHealthCheckNodePort(service) && needsHealthCheckNodePort(old) &&
		service.Spec.HealthCheckNodePort != old.Spec.HealthCheckNodePort {
		return field.ErrorList{field.Forbidden(healthCheckNodePortPath, "field is immutable")}
	}
	return nil
}

func needsHealthCheckNodePort(service *v1.Service) bool {
	return isLoadBalancer(service) && service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// validateInternalTrafficPolicy accepts a policy on ExternalName Services, because older
// releases set it on every type by default.
func validateInternalTrafficPolicy(service *v1.Service) field.ErrorList {
	path := specPath.Child("internalTrafficPolicy")
	policy := service.Spec.InternalTrafficPolicy
	if policy == nil {
		switch service.Spec.Type {
		case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
			return field.ErrorList{field.Required(path, "")}
		}
		return nil
	}
	if !slices.Contains(internalTrafficPolicies, *policy) {
		return field.ErrorList{field.NotSupported(path, *policy, internalTrafficPolicies)}
	}
	return nil
}

func validateTrafficDistribution(service *v1.Service) field.ErrorList {
	distribution := service.Spec.TrafficDistribution
	if distribution == nil || slices.Contains(trafficDistributions, *distribution) {
		return nil
	}
	return field.ErrorList{field.NotSupported(specPath.Child("trafficDistribution"), *distribution, trafficDistributions)}
}
