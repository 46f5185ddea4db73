package validation

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// ValidateNodePortCreate validates a NodePort that a client creates. Upstream has no such
// kind. The rules of the holder are those of IPAddresses.
func ValidateNodePortCreate(port *v1.NodePort, now time.Time) field.ErrorList {
	return Bounded(append(validateNodePort(port), validateReservation(port.Spec.ParentRef, port.Spec.ExpirationTimestamp, now)...))
}

// ValidateNodePortUpdate validates an update of a NodePort. The holder is immutable. The
// protocols can change on reservations only.
func ValidateNodePortUpdate(port, old *v1.NodePort) field.ErrorList {
	errs := validateNodePort(port)
	errs = append(errs, ValidateObjectMetaUpdate(&port.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))...)
	errs = append(errs, validateParentRefUnchanged(port.Spec.ParentRef, old.Spec.ParentRef)...)
	held := old.Spec.ParentRef != nil && old.Spec.ParentRef.UID != ""
	if held && !slices.Equal(port.Spec.Protocols, old.Spec.Protocols) {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "protocols"), "are set by the server for the Service that holds the claim"))
	}
	return Bounded(errs)
}

func validateNodePort(port *v1.NodePort) field.ErrorList {
	errs := ValidateObjectMeta(&port.ObjectMeta, false, validateNodePortName, field.NewPath("metadata"))
	seen := sets.New[corev1.Protocol]()
	for i, protocol := range port.Spec.Protocols {
		path := field.NewPath("spec", "protocols").Index(i)
		switch {
		case !slices.Contains(portProtocols, protocol):
			errs = append(errs, field.NotSupported(path, protocol, portProtocols))
		case seen.Has(protocol):
			errs = append(errs, field.Duplicate(path, protocol))
		}
		seen.Insert(protocol)
	}
	errs = append(errs, validateParentRef(port.Spec.ParentRef)...)
	return append(errs, validateServicePorts(&port.Spec)...)
}

// validateServicePorts validates which port of a Service a node port is reserved for. One
// node port serves at most one port of each protocol.
func validateServicePorts(spec *v1.NodePortSpec) field.ErrorList {
	healthCheck := ptr.Deref(spec.HealthCheck, false)
	if len(spec.ServicePorts) == 0 && !healthCheck {
		return nil
	}
	path := specPath.Child("servicePorts")
	var errs field.ErrorList
	if spec.ParentRef != nil && !spec.ParentRef.IsService() {
		used := path
		if healthCheck {
			used = specPath.Child("healthCheck")
		}
		errs = append(errs, field.Forbidden(used, "may only be set if spec.parentRef names a Service"))
	}
	if healthCheck && len(spec.ServicePorts) > 0 {
		errs = append(errs, field.Forbidden(path, "may not be set when spec.healthCheck is true"))
	}
	seen := sets.New[corev1.Protocol]()
	for i, ref := range spec.ServicePorts {
		at := path.Index(i)
		if ref.Name != "" {
			errs = append(errs, validateDNS1123Label(ref.Name, at.Child("name"))...)
		}
		switch {
		case ref.Name == "" && ref.Port == 0:
			errs = append(errs, field.Required(at, "name or port must be set"))
		case ref.Port != 0:
			errs = append(errs, Invalid(at.Child("port"), ref.Port, utilvalidation.IsValidPortNum(int(ref.Port)))...)
		}
		switch {
		case !slices.Contains(portProtocols, ref.Protocol):
			errs = append(errs, field.NotSupported(at.Child("protocol"), ref.Protocol, portProtocols))
		case seen.Has(ref.Protocol):
			errs = append(errs, field.Duplicate(at.Child("protocol"), ref.Protocol))
		}
		seen.Insert(ref.Protocol)
	}
	return errs
}

func validateNodePortName(name string, _ bool) []string {
	number, err := strconv.Atoi(name)
	if err != nil {
		return []string{utilvalidation.InclusiveRangeError(1, 65535)}
	}
	if problems := utilvalidation.IsValidPortNum(number); len(problems) > 0 {
		return problems
	}
	if canonical := strconv.Itoa(number); name != canonical {
		return []string{fmt.Sprintf("must be in canonical form (%q)", canonical)}
	}
	return nil
}
