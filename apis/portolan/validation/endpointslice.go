package validation

import (
	"errors"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// The limits of an EndpointSlice are those of upstream's
// pkg/apis/discovery/validation.
const (
	maxSliceEndpoints = 1000
	maxSlicePorts     = 20000
	maxAddresses      = 100
	maxTopologyLabels = 16
	maxHints          = 8
)

var (
	addressTypes    = []discoveryv1.AddressType{discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6}
	addressTypePath = field.NewPath("addressType")
)

// OfControllers reports whether the label managed-by names one of upstream's controllers.
// Portolan's controllers use the same names.
func OfControllers(slice *v1.EndpointSlice) bool {
	return slices.Contains(endpointSliceControllers, slice.Labels[discoveryv1.LabelManagedBy])
}

var endpointSliceControllers = []string{"endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"}

// ValidateEndpointSliceCreate validates a new EndpointSlice, as upstream's function of
// the same name does (pkg/apis/discovery/validation). Unlike upstream, it rejects port
// numbers out of range, and accepts loopback addresses in the given networks.
func ValidateEndpointSliceCreate(slice *v1.EndpointSlice, loopback ...netip.Prefix) field.ErrorList {
	return Bounded(validateEndpointSlice(slice, nil, loopback))
}

// ValidateEndpointSliceUpdate validates an update of an EndpointSlice, as upstream's
// function of the same name does. It accepts unchanged endpoints and unchanged port
// numbers, because older releases had laxer rules. Unlike upstream, it accepts loopback
// addresses in the given networks.
func ValidateEndpointSliceUpdate(slice, old *v1.EndpointSlice, loopback ...netip.Prefix) field.ErrorList {
	errs := validateEndpointSlice(slice, old, loopback)
	return Bounded(append(errs, apivalidation.ValidateImmutableField(slice.AddressType, old.AddressType, addressTypePath)...))
}

// EndpointSliceCreateWarnings warns of deprecated values and of addresses that are not in
// canonical form, as upstream's strategy does.
func EndpointSliceCreateWarnings(slice *v1.EndpointSlice) []string {
	var warnings []string
	if slice.AddressType == discoveryv1.AddressTypeFQDN {
		// Upstream's text names a spec, although slices have none.
		warnings = append(warnings, "spec.addressType: FQDN endpoints are deprecated")
	}
	return append(warnings, EndpointSliceWarnings(slice)...)
}

// EndpointSliceWarnings warns of addresses that are not in canonical form, as upstream's
// strategy does. It skips the slices of controllers, which are most slices and canonical.
func EndpointSliceWarnings(slice *v1.EndpointSlice) []string {
	if OfControllers(slice) {
		return nil
	}
	var warnings []string
	for i := range slice.Endpoints {
		path := field.NewPath("endpoints").Index(i).Child("addresses")
		for j, address := range slice.Endpoints[i].Addresses {
			warnings = append(warnings, ipWarnings(path.Index(j), address)...)
		}
	}
	return warnings
}

func validateEndpointSlice(slice, old *v1.EndpointSlice, loopback []netip.Prefix) field.ErrorList {
	errs := ValidateObjectMeta(&slice.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, metadataPath)
	if slice.AddressType == "" {
		errs = append(errs, field.Required(addressTypePath, ""))
	} else if !slices.Contains(addressTypes, slice.AddressType) {
		errs = append(errs, field.NotSupported(addressTypePath, slice.AddressType, addressTypes))
	}
	newNumbers := old == nil || !apiequality.Semantic.DeepEqual(slice.Ports, old.Ports)
	errs = append(errs, validateSlicePorts(slice.Ports, newNumbers, field.NewPath("ports"))...)

	endpointErrs := validateSliceEndpoints(slice.Endpoints, slice.AddressType, loopback, field.NewPath("endpoints"))
	// The comparison comes last, because it is slow and nearly all slices are valid.
	if len(endpointErrs) > 0 && old != nil && apiequality.Semantic.DeepEqual(slice.Endpoints, old.Endpoints) {
		return errs
	}
	return append(errs, endpointErrs...)
}

func validateSlicePorts(ports []discoveryv1.EndpointPort, checkNumbers bool, path *field.Path) field.ErrorList {
	if len(ports) > maxSlicePorts {
		return field.ErrorList{field.TooMany(path, len(ports), maxSlicePorts)}
	}
	var errs field.ErrorList
	names := make(map[string]bool, len(ports))
	for i := range ports {
		port, path := &ports[i], path.Index(i)
		name := ptr.Deref(port.Name, "")
		if name != "" {
			errs = append(errs, validateDNS1123Label(name, path.Child("name"))...)
		}
		if names[name] {
			errs = append(errs, field.Duplicate(path.Child("name"), name))
		}
		names[name] = true
		if checkNumbers && port.Port != nil {
			errs = append(errs, validatePortNumber(*port.Port, path.Child("port"))...)
		}
		errs = append(errs, validateSliceProtocol(port.Protocol, path.Child("protocol"))...)
		if port.AppProtocol != nil {
			errs = append(errs, validateQualifiedName(*port.AppProtocol, path.Child("appProtocol"))...)
		}
	}
	return errs
}

// validateSliceProtocol distinguishes a missing protocol from an empty one.
func validateSliceProtocol(protocol *corev1.Protocol, path *field.Path) field.ErrorList {
	if protocol != nil && *protocol == "" {
		return field.ErrorList{field.NotSupported(path, *protocol, portProtocols)}
	}
	return validateProtocol(ptr.Deref(protocol, ""), path)
}

func validateSliceEndpoints(endpoints []discoveryv1.Endpoint, addressType discoveryv1.AddressType, loopback []netip.Prefix,
	path *field.Path) field.ErrorList {
	if len(endpoints) > maxSliceEndpoints {
		return field.ErrorList{field.TooMany(path, len(endpoints), maxSliceEndpoints)}
	}
	var errs field.ErrorList
	for i := range endpoints {
		endpoint, path := &endpoints[i], path.Index(i)
		errs = append(errs, validateAddresses(endpoint.Addresses, addressType, loopback, path.Child("addresses"))...)
		if endpoint.NodeName != nil {
			errs = append(errs, validateDNS1123Subdomain(*endpoint.NodeName, path.Child("nodeName"))...)
		}
		errs = append(errs, validateTopology(endpoint.DeprecatedTopology, path.Child("deprecatedTopology"))...)
		if endpoint.Hostname != nil {
			errs = append(errs, validateDNS1123Label(*endpoint.Hostname, path.Child("hostname"))...)
		}
		if endpoint.Hints != nil {
			errs = append(errs, validateHints(endpoint.Hints, path.Child("hints"))...)
		}
	}
	return errs
}

// validateAddresses accepts any address of an unknown type. As in upstream, the error
// for a wrong IP family has the path of the whole list.
func validateAddresses(addresses []string, addressType discoveryv1.AddressType, loopback []netip.Prefix, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(addresses) == 0 {
		errs = append(errs, field.Required(path, "must contain at least 1 address"))
	} else if len(addresses) > maxAddresses {
		errs = append(errs, field.TooMany(path, len(addresses), maxAddresses))
	}
	for i, address := range addresses {
		var malformed field.ErrorList
		ofFamily, message := netutils.IsIPv4String, "must be an IPv4 address"
		switch addressType {
		case discoveryv1.AddressTypeIPv4:
			malformed = utilvalidation.IsValidIPForLegacyField(path.Index(i), address, true, nil)
		case discoveryv1.AddressTypeIPv6:
			malformed = utilvalidation.IsValidIP(path.Index(i), address)
			ofFamily, message = netutils.IsIPv6String, "must be an IPv6 address"
		case discoveryv1.AddressTypeFQDN:
			errs = append(errs, utilvalidation.IsFullyQualifiedDomainName(path.Index(i), address)...)
			continue
		default:
			continue
		}
		if len(malformed) > 0 {
			errs = append(errs, malformed...)
			continue
		}
		if !ofFamily(address) {
			errs = append(errs, field.Invalid(path, address, message))
		}
		errs = append(errs, ValidateEndpointIP(address, loopback, path.Index(i))...)
	}
	return errs
}

// validateTopology validates the topology that older versions stored. The strategy
// removes topology from new writes.
func validateTopology(topology map[string]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(topology) > maxTopologyLabels {
		errs = append(errs, field.TooMany(path, len(topology), maxTopologyLabels))
	}
	errs = append(errs, metavalidation.ValidateLabels(topology, path)...)
	if _, found := topology[corev1.LabelTopologyZone]; found {
		errs = append(errs, field.InternalError(path.Key(corev1.LabelTopologyZone), errors.New("reserved key was not removed in conversion")))
	}
	return errs
}

func validateHints(hints *discoveryv1.EndpointHints, path *field.Path) field.ErrorList {
	zonesPath, nodesPath := path.Child("forZones"), path.Child("forNodes")
	if len(hints.ForZones) > maxHints {
		return field.ErrorList{field.TooMany(zonesPath, len(hints.ForZones), maxHints)}
	}
	var errs field.ErrorList
	zones := map[string]bool{}
	for i, zone := range hints.ForZones {
		errs = append(errs, validateHint(zone.Name, zones, utilvalidation.IsValidLabelValue, zonesPath.Index(i).Child("name"))...)
	}
	if len(hints.ForNodes) > maxHints {
		return append(errs, field.TooMany(nodesPath, len(hints.ForNodes), maxHints))
	}
	nodes := map[string]bool{}
	for i, node := range hints.ForNodes {
		errs = append(errs, validateHint(node.Name, nodes, utilvalidation.IsDNS1123Subdomain, nodesPath.Index(i).Child("name"))...)
	}
	return errs
}

func validateHint(name string, seen map[string]bool, check func(string) []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if seen[name] {
		errs = append(errs, field.Duplicate(path, name))
	}
	seen[name] = true
	return append(errs, Invalid(path, name, check(name))...)
}
