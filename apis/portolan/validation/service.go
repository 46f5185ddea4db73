package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// maxSessionAffinitySeconds is one day. It is upstream's
// MaxClientIPServiceAffinitySeconds, which k8s.io/api does not have.
const maxSessionAffinitySeconds = 86400

var (
	serviceTypes = []corev1.ServiceType{
		corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort,
	}
	sessionAffinities = []corev1.ServiceAffinity{corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone}
)

// ValidateServiceCreate validates a new Service after defaulting and allocation. Its name
// is a DNS label and can begin with a digit (KEP-5311).
func ValidateServiceCreate(service *v1.Service) field.ErrorList {
	errs := ValidateObjectMeta(&service.ObjectMeta, true, apivalidation.NameIsDNSLabel, metadataPath)
	return Bounded(append(errs, validateService(service, nil)...))
}

// ValidateServiceUpdate validates an update of a Service, as upstream's function of the
// same name does.
func ValidateServiceUpdate(service, old *v1.Service) field.ErrorList {
	errs := ValidateObjectMetaUpdate(&service.ObjectMeta, &old.ObjectMeta, metadataPath)
	errs = append(errs, validateClusterIPsUpdate(service, old)...)
	errs = append(errs, validateIPFamiliesUpdate(service, old)...)
	errs = append(errs, validateLoadBalancerClassUpdate(service, old)...)
	errs = append(errs, validateLoadBalancerClass(service)...)
	errs = append(errs, validateHealthCheckNodePortUpdate(service, old)...)
	return Bounded(append(errs, validateService(service, old)...))
}

// ValidateServiceStatusUpdate validates an update of a Service's status, as upstream's
// function of the same name does. Unlike upstream, it also validates the conditions and
// the ports of ingress points. The spec must be the stored one.
func ValidateServiceStatusUpdate(service, old *v1.Service) field.ErrorList {
	errs := ValidateObjectMetaUpdate(&service.ObjectMeta, &old.ObjectMeta, metadataPath)
	errs = append(errs, validateLoadBalancerStatus(service, old)...)
	return Bounded(append(errs, validateConditionsUpdate(service.Status.Conditions, old.Status.Conditions, statusPath.Child("conditions"))...))
}

// validateService checks in the order of upstream's function of the same name, because
// clients see the order in the message.
func validateService(service, old *v1.Service) field.ErrorList {
	errs := validateTopologyAnnotations(service)
	errs = append(errs, validatePortsPresent(service)...)
	errs = append(errs, validateServiceType(service)...)
	errs = append(errs, validateEachPort(service)...)
	errs = append(errs, metav1validation.ValidateLabels(service.Spec.Selector, specPath.Child("selector"))...)
	errs = append(errs, validateSessionAffinity(service)...)
	errs = append(errs, ValidateServiceClusterIPs(service, old)...)
	errs = append(errs, validateExternalIPs(service, old)...)
	errs = append(errs, validateTypeKnown(service)...)
	errs = append(errs, validateNodePorts(service)...)
	errs = append(errs, validatePortsDiffer(service)...)
	errs = append(errs, validateLoadBalancerIP(service, old)...)
	errs = append(errs, validateSourceRanges(service, old)...)
	errs = append(errs, validateAllocateNodePorts(service)...)
	if old == nil {
		errs = append(errs, validateLoadBalancerClass(service)...)
	}
	errs = append(errs, validateExternalTrafficPolicy(service)...)
	errs = append(errs, validateHealthCheckNodePort(service, old)...)
	errs = append(errs, validateInternalTrafficPolicy(service)...)
	errs = append(errs, validateTrafficDistribution(service)...)
	return append(errs, validateRetention(service, old)...)
}

// validateRetention validates the annotations of RetainAnnotation, which upstream does not
// have, unless they are stored already.
func validateRetention(service, old *v1.Service) field.ErrorList {
	changed := func(key string) (text string, changed bool) {
		text, set := service.Annotations[key]
		if old == nil {
			return text, set
		}
		stored, exists := old.Annotations[key]
		return text, set && (!exists || stored != text)
	}
	path := metadataPath.Child("annotations")
	var errs field.ErrorList
	if text, changed := changed(v1.RetainAnnotation); changed && text != "true" && text != "false" {
		errs = append(errs, field.NotSupported(path.Key(v1.RetainAnnotation), text, []string{"false", "true"}))
	}
	if text, changed := changed(v1.RetainForAnnotation); changed {
		if _, err := v1.ParseRetainFor(text); err != nil {
			errs = append(errs, field.Invalid(path.Key(v1.RetainForAnnotation), text, err.Error()))
		}
	}
	return errs
}

// validateServiceType checks the rules of each type.
func validateServiceType(service *v1.Service) field.ErrorList {
	switch service.Spec.Type {
	case corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		if isHeadless(service) {
			return field.ErrorList{field.Invalid(clusterIPsPath.Index(0), corev1.ClusterIPNone,
				fmt.Sprintf("may not be set to 'None' for %s services", service.Spec.Type))}
		}
	case corev1.ServiceTypeExternalName:
		return validateExternalName(service)
	}
	return nil
}

func validateTypeKnown(service *v1.Service) field.ErrorList {
	path := specPath.Child("type")
	if service.Spec.Type == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	if !slices.Contains(serviceTypes, service.Spec.Type) {
		return field.ErrorList{field.NotSupported(path, service.Spec.Type, serviceTypes)}
	}
	return nil
}

func validateExternalName(service *v1.Service) field.ErrorList {
	const detail = "may not be set for ExternalName services"
	var errs field.ErrorList
	if len(service.Spec.ClusterIPs) > 0 {
		errs = append(errs, field.Forbidden(clusterIPsPath, detail))
	}
	if len(service.Spec.IPFamilies) > 0 {
		errs = append(errs, field.Forbidden(ipFamiliesPath, detail))
	}
	if service.Spec.IPFamilyPolicy != nil {
		errs = append(errs, field.Forbidden(ipFamilyPolicyPath, detail))
	}
	namePath := specPath.Child("externalName")
	// A trailing dot marks a name as fully qualified.
	name := strings.TrimSuffix(service.Spec.ExternalName, ".")
	if name == "" {
		return append(errs, field.Required(namePath, ""))
	}
	return append(errs, validateDNS1123Subdomain(name, namePath)...)
}

func validateSessionAffinity(service *v1.Service) field.ErrorList {
	affinity, config := service.Spec.SessionAffinity, service.Spec.SessionAffinityConfig
	affinityPath, configPath := specPath.Child("sessionAffinity"), specPath.Child("sessionAffinityConfig")
	switch {
	case affinity == "":
		return field.ErrorList{field.Required(affinityPath, "")}
	case !slices.Contains(sessionAffinities, affinity):
		return field.ErrorList{field.NotSupported(affinityPath, affinity, sessionAffinities)}
	case affinity == corev1.ServiceAffinityNone:
		if config == nil {
			return nil
		}
		return field.ErrorList{field.Forbidden(configPath, "must not be set when session affinity is None")}
	}

	const detail = "when session affinity type is ClientIP"
	timeoutPath := configPath.Child("clientIP", "timeoutSeconds")
	switch {
	case config == nil:
		return field.ErrorList{field.Required(configPath, detail)}
	case config.ClientIP == nil:
		return field.ErrorList{field.Required(configPath.Child("clientIP"), detail)}
	case config.ClientIP.TimeoutSeconds == nil:
		return field.ErrorList{field.Required(timeoutPath, detail)}
	}
	if timeout := *config.ClientIP.TimeoutSeconds; timeout <= 0 || timeout > maxSessionAffinitySeconds {
		return field.ErrorList{field.Invalid(timeoutPath, timeout,
			fmt.Sprintf("must be greater than 0 and less than %d", maxSessionAffinitySeconds))}
	}
	return nil
}
