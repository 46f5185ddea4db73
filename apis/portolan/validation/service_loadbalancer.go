package validation

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

const onlyForLoadBalancers = "may only be used when `type` is 'LoadBalancer'"

var loadBalancerIPModes = []corev1.LoadBalancerIPMode{corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP}

// validateLoadBalancerIP wants an address or the stored value. Upstream accepts any text.
func validateLoadBalancerIP(service, old *v1.Service) field.ErrorList {
	ip := service.Spec.LoadBalancerIP
	if ip == "" || old != nil && old.Spec.LoadBalancerIP == ip {
		return nil
	}
	return validateLegacyIP(ip, nil, specPath.Child("loadBalancerIP"))
}

// validateSourceRanges validates the field or, if it is empty, the annotation that it
// replaced. The API allows white space around a range.
func validateSourceRanges(service, old *v1.Service) field.ErrorList {
	if len(service.Spec.LoadBalancerSourceRanges) == 0 {
		return validateSourceRangesAnnotation(service, old)
	}
	// The capital letter is upstream's, and clients see it.
	path := specPath.Child("LoadBalancerSourceRanges")
	var errs field.ErrorList
	if !isLoadBalancer(service) {
		errs = append(errs, field.Forbidden(path, onlyForLoadBalancers))
	}
	var stored sets.Set[string]
	if old != nil {
		stored = sets.New(trimmed(old.Spec.LoadBalancerSourceRanges)...)
	}
	for i, cidr := range trimmed(service.Spec.LoadBalancerSourceRanges) {
		errs = append(errs, validateLegacyCIDR(cidr, stored, path.Index(i))...)
	}
	return errs
}

func validateSourceRangesAnnotation(service, old *v1.Service) field.ErrorList {
	const key = corev1.AnnotationLoadBalancerSourceRangesKey
	value, set := service.Annotations[key]
	if !set {
		return nil
	}
	path := metadataPath.Child("annotations").Key(key)
	var errs field.ErrorList
	if !isLoadBalancer(service) {
		errs = append(errs, field.Forbidden(path, onlyForLoadBalancers))
	}
	if old != nil && old.Annotations[key] == value || strings.TrimSpace(value) == "" {
		return errs
	}
	for _, cidr := range trimmed(strings.Split(strings.TrimSpace(value), ",")) {
		errs = append(errs, validateLegacyCIDR(cidr, nil, path)...)
	}
	return errs
}

func trimmed(values []string) []string {
	out := make([]string, len(values))
	for i, value := range values {
		out[i] = strings.TrimSpace(value)
	}
	return out
}

func validateAllocateNodePorts(service *v1.Service) field.ErrorList {
	allocate := service.Spec.AllocateLoadBalancerNodePorts
	if allocate != nil && !isLoadBalancer(service) {
		return field.ErrorList{field.Forbidden(specPath.Child("allocateLoadBalancerNodePorts"), onlyForLoadBalancers)}
	}
	if allocate == nil && isLoadBalancer(service) {
		// Upstream's path lacks the spec. Clients never see it, because the field has
		// a default.
		return field.ErrorList{field.Required(field.NewPath("allocateLoadBalancerNodePorts"), "")}
	}
	return nil
}

func validateLoadBalancerClass(service *v1.Service) field.ErrorList {
	class := service.Spec.LoadBalancerClass
	if class == nil {
		return nil
	}
	path := specPath.Child("loadBalancerClass")
	if !isLoadBalancer(service) {
		return field.ErrorList{field.Forbidden(path, onlyForLoadBalancers)}
	}
	return validateQualifiedName(*class, path)
}

// validateLoadBalancerClassUpdate rejects a change of the class, also from or to none,
// because one implementation cannot take a load balancer over from another.
func validateLoadBalancerClassUpdate(service, old *v1.Service) field.ErrorList {
	if !isLoadBalancer(service) || !isLoadBalancer(old) || ptr.Equal(service.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass) {
		return nil
	}
	return field.ErrorList{field.Invalid(specPath.Child("loadBalancerClass"), service.Spec.LoadBalancerClass, "may not change once set")}
}

// validateLoadBalancerStatus accepts stored addresses and ports, because older releases
// had laxer rules.
func validateLoadBalancerStatus(service, old *v1.Service) field.ErrorList {
	ingress := service.Status.LoadBalancer.Ingress
	path := statusPath.Child("loadBalancer", "ingress")
	if !isLoadBalancer(service) && len(ingress) > 0 {
		return field.ErrorList{field.Forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")}
	}
	storedIPs, storedPorts := sets.New[string](), sets.New[portStatus]()
	for i := range old.Status.LoadBalancer.Ingress {
		stored := &old.Status.LoadBalancer.Ingress[i]
		storedIPs.Insert(stored.IP)
		for j := range stored.Ports {
			storedPorts.Insert(newPortStatus(&stored.Ports[j]))
		}
	}
	var errs field.ErrorList
	for i := range ingress {
		errs = append(errs, validateIngress(&ingress[i], storedIPs, path.Index(i))...)
		for j := range ingress[i].Ports {
			if port := newPortStatus(&ingress[i].Ports[j]); !storedPorts.Has(port) {
				errs = append(errs, validatePortStatus(port, path.Index(i).Child("ports").Index(j))...)
			}
		}
	}
	return errs
}

// portStatus is a comparable corev1.PortStatus.
type portStatus struct {
	port     int32
	protocol corev1.Protocol
	hasError bool
	err      string
}

func newPortStatus(status *corev1.PortStatus) portStatus {
	return portStatus{status.Port, status.Protocol, status.Error != nil, ptr.Deref(status.Error, "")}
}

// maxPortErrorLength is from the documentation of corev1.PortStatus, like the format of
// the error.
const maxPortErrorLength = 316

// validatePortStatus validates the port of an ingress point. Upstream accepts any value.
func validatePortStatus(port portStatus, path *field.Path) field.ErrorList {
	errs := validatePortNumber(port.port, path.Child("port"))
	errs = append(errs, validateProtocol(port.protocol, path.Child("protocol"))...)
	if !port.hasError {
		return errs
	}
	if len(port.err) > maxPortErrorLength {
		return append(errs, field.TooLong(path.Child("error"), port.err, maxPortErrorLength))
	}
	return append(errs, validateQualifiedName(port.err, path.Child("error"))...)
}

func validateIngress(ingress *corev1.LoadBalancerIngress, storedIPs sets.Set[string], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if ingress.IP != "" {
		errs = append(errs, validateLegacyIP(ingress.IP, storedIPs, path.Child("ip"))...)
	}
	mode := ingress.IPMode
	switch {
	case mode == nil && ingress.IP != "":
		errs = append(errs, field.Required(path.Child("ipMode"), "must be specified when `ip` is set"))
	case mode != nil && ingress.IP == "":
		errs = append(errs, field.Forbidden(path.Child("ipMode"), "may not be specified when `ip` is not set"))
	case mode != nil && !slices.Contains(loadBalancerIPModes, *mode):
		errs = append(errs, field.NotSupported(path.Child("ipMode"), *mode, loadBalancerIPModes))
	}
	if ingress.Hostname != "" {
		errs = append(errs, validateDNS1123Subdomain(ingress.Hostname, path.Child("hostname"))...)
		if netutils.ParseIPSloppy(ingress.Hostname) != nil {
			errs = append(errs, field.Invalid(path.Child("hostname"), ingress.Hostname, "must be a DNS name, not an IP address"))
		}
	}
	return errs
}

func isLoadBalancer(service *v1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer
}
