package validation

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

var portsPath = specPath.Child("ports")

// ValidateServicePorts validates the ports of a Service: names, numbers and that no two
// conflict. Node ports can still be unset. For an update, call service.Inherit first,
// because it clears the node ports that are left over from another type.
//
// The rules are upstream's, except that an ExternalName Service cannot have node ports.
// Upstream stores them without allocating them, and on deletion releases them even if
// another Service holds them.
func ValidateServicePorts(service *v1.Service) field.ErrorList {
	errs := validatePortsPresent(service)
	errs = append(errs, validateEachPort(service)...)
	errs = append(errs, validateNodePorts(service)...)
	return Bounded(append(errs, validatePortsDiffer(service)...))
}

func validatePortsPresent(service *v1.Service) field.ErrorList {
	if len(service.Spec.Ports) > 0 || isHeadless(service) || isExternalName(service) {
		return nil
	}
	return field.ErrorList{field.Required(portsPath, "")}
}

func validateEachPort(service *v1.Service) field.ErrorList {
	ports := service.Spec.Ports
	var errs field.ErrorList
	names := make(map[string]bool, len(ports))
	for i := range ports {
		// A request can contain a million ports.
		if len(errs) > maxErrors {
			break
		}
		path := portsPath.Index(i)
		name := ports[i].Name
		if name == "" && len(ports) > 1 {
			errs = append(errs, field.Required(path.Child("name"), ""))
		}
		if name != "" {
			errs = append(errs, validateDNS1123Label(name, path.Child("name"))...)
			if names[name] {
				errs = append(errs, field.Duplicate(path.Child("name"), name))
			}
			names[name] = true
		}
		errs = append(errs, validateServicePort(&ports[i], path)...)
	}
	return errs
}

func validateServicePort(port *corev1.ServicePort, path *field.Path) field.ErrorList {
	errs := validatePortNumber(port.Port, path.Child("port"))
	errs = append(errs, validateProtocol(port.Protocol, path.Child("protocol"))...)
	errs = append(errs, validateTargetPort(port.TargetPort, path.Child("targetPort"))...)
	if port.AppProtocol != nil {
		errs = append(errs, validateQualifiedName(*port.AppProtocol, path.Child("appProtocol"))...)
	}
	return errs
}

func validateProtocol(protocol corev1.Protocol, path *field.Path) field.ErrorList {
	if protocol == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	if !slices.Contains(portProtocols, protocol) {
		return field.ErrorList{field.NotSupported(path, protocol, portProtocols)}
	}
	return nil
}

func validateTargetPort(port intstr.IntOrString, path *field.Path) field.ErrorList {
	switch port.Type {
	case intstr.Int:
		return validatePortNumber(port.IntVal, path)
	case intstr.String:
		return Invalid(path, port.StrVal, utilvalidation.IsValidPortName(port.StrVal))
	}
	return field.ErrorList{field.InternalError(path, fmt.Errorf("unknown type: %v", port.Type))}
}

// validateNodePorts does not check ranges; package claims does.
func validateNodePorts(service *v1.Service) field.ErrorList {
	type claim struct {
		nodePort int32
		protocol corev1.Protocol
	}
	var forbidden, duplicate field.ErrorList
	seen := map[claim]bool{}
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		if port.NodePort == 0 {
			continue
		}
		path := portsPath.Index(i).Child("nodePort")
		switch service.Spec.Type {
		case corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName:
			forbidden = append(forbidden, field.Forbidden(path, fmt.Sprintf("may not be used when `type` is '%s'", service.Spec.Type)))
		}
		key := claim{port.NodePort, port.Protocol}
		if seen[key] {
			duplicate = append(duplicate, field.Duplicate(path, port.NodePort))
		}
		seen[key] = true
	}
	return append(forbidden, duplicate...)
}

// duplicatePort is the value in upstream's error about a duplicate port: its internal
// type, which has no JSON names, with only the key fields set.
type duplicatePort struct {
	Name        string
	Protocol    corev1.Protocol
	AppProtocol *string
	Port        int32
	TargetPort  intstr.IntOrString
	NodePort    int32
}

func validatePortsDiffer(service *v1.Service) field.ErrorList {
	ports := service.Spec.Ports
	var errs field.ErrorList
	seen := make(map[duplicatePort]bool, len(ports))
	for i := range ports {
		key := duplicatePort{Protocol: ports[i].Protocol, Port: ports[i].Port}
		if seen[key] {
			errs = append(errs, field.Duplicate(portsPath.Index(i), key))
		}
		seen[key] = true
	}
	return errs
}
