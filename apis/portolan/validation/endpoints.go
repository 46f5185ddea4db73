package validation

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

const (
	endpointsManagedByLabel = "endpoints.kubernetes.io/managed-by"
	endpointsController     = "endpoint-controller"
)

// ValidateEndpointsCreate validates new Endpoints, as upstream's function of the same
// name does. It restricts neither the order nor the number of addresses. Unlike
// upstream, it accepts loopback addresses in the given networks.
func ValidateEndpointsCreate(endpoints *v1.Endpoints, loopback ...netip.Prefix) field.ErrorList {
	return Bounded(validateEndpoints(endpoints, nil, loopback))
}

// ValidateEndpointsUpdate validates an update of Endpoints, as upstream's function of
// the same name does. It accepts unchanged subsets, because older releases had laxer
// rules. Unlike upstream, it accepts loopback addresses in the given networks.
func ValidateEndpointsUpdate(endpoints, old *v1.Endpoints, loopback ...netip.Prefix) field.ErrorList {
	errs := ValidateObjectMetaUpdate(&endpoints.ObjectMeta, &old.ObjectMeta, metadataPath)
	return Bounded(append(errs, validateEndpoints(endpoints, old, loopback)...))
}

// EndpointsWarnings warns of addresses that are not in canonical form, as upstream's
// endpoints strategy does. It skips the objects of the endpoints controller, which are
// large and canonical.
func EndpointsWarnings(endpoints *v1.Endpoints) []string {
	if endpoints.Labels[endpointsManagedByLabel] == endpointsController {
		return nil
	}
	var warnings []string
	warn := func(addresses []corev1.EndpointAddress, path *field.Path) {
		for i := range addresses {
			warnings = append(warnings, ipWarnings(path.Index(i).Child("ip"), addresses[i].IP)...)
		}
	}
	for i := range endpoints.Subsets {
		path := field.NewPath("subsets").Index(i)
		warn(endpoints.Subsets[i].Addresses, path.Child("addresses"))
		warn(endpoints.Subsets[i].NotReadyAddresses, path.Child("notReadyAddresses"))
	}
	return warnings
}

func validateEndpoints(endpoints, old *v1.Endpoints, loopback []netip.Prefix) field.ErrorList {
	errs := ValidateObjectMeta(&endpoints.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, metadataPath)
	var subsetErrs field.ErrorList
	for i := range endpoints.Subsets {
		subsetErrs = append(subsetErrs, validateEndpointSubset(&endpoints.Subsets[i], loopback, field.NewPath("subsets").Index(i))...)
	}
	// The comparison comes last, because it is slow and nearly all Endpoints are valid.
	if len(subsetErrs) > 0 && old != nil && apiequality.Semantic.DeepEqual(endpoints.Subsets, old.Subsets) {
		return errs
	}
	return append(errs, subsetErrs...)
}

func validateEndpointSubset(subset *corev1.EndpointSubset, loopback []netip.Prefix, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(subset.Addresses) == 0 && len(subset.NotReadyAddresses) == 0 {
		errs = append(errs, field.Required(path, "must specify `addresses` or `notReadyAddresses`"))
	}
	for i := range subset.Addresses {
		errs = append(errs, validateEndpointAddress(&subset.Addresses[i], loopback, path.Child("addresses").Index(i))...)
	}
	for i := range subset.NotReadyAddresses {
		errs = append(errs, validateEndpointAddress(&subset.NotReadyAddresses[i], loopback, path.Child("notReadyAddresses").Index(i))...)
	}
	for i := range subset.Ports {
		errs = append(errs, validateEndpointPort(&subset.Ports[i], len(subset.Ports) > 1, path.Child("ports").Index(i))...)
	}
	return errs
}

func validateEndpointAddress(address *corev1.EndpointAddress, loopback []netip.Prefix, path *field.Path) field.ErrorList {
	errs := utilvalidation.IsValidIPForLegacyField(path.Child("ip"), address.IP, true, nil)
	if address.Hostname != "" {
		errs = append(errs, validateDNS1123Label(address.Hostname, path.Child("hostname"))...)
	}
	if address.NodeName != nil {
		errs = append(errs, validateDNS1123Subdomain(*address.NodeName, path.Child("nodeName"))...)
	}
	return append(errs, ValidateEndpointIP(address.IP, loopback, path.Child("ip"))...)
}

func validateEndpointPort(port *corev1.EndpointPort, nameRequired bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if port.Name != "" {
		errs = append(errs, validateDNS1123Label(port.Name, path.Child("name"))...)
	} else if nameRequired {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	errs = append(errs, validatePortNumber(port.Port, path.Child("port"))...)
	errs = append(errs, validateProtocol(port.Protocol, path.Child("protocol"))...)
	if port.AppProtocol != nil {
		errs = append(errs, validateQualifiedName(*port.AppProtocol, path.Child("appProtocol"))...)
	}
	return errs
}
