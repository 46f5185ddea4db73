package claims

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
)

// takenError says that a value is somebody else's, and whose if the caller may
// know. The text begins as upstream's does, which tools match on.
type takenError struct {
	holder string
}

func (e *takenError) Error() string {
	if e.holder == "" {
		return "already allocated"
	}
	return "already allocated by " + e.holder
}

// outOfRangeError says that no usable range has the value.
type outOfRangeError struct {
	value allocation.Value
}

func (e *outOfRangeError) Error() string {
	return fmt.Sprintf("%s lies in no usable range", e.value)
}

// FieldError words why a Service can't have a value that stands in its spec.
// The cause is an *allocation.FullError or an error of this package.
func FieldError(svc *v1.Service, value allocation.Value, cause error) *field.Error {
	if value.Class != allocation.Port {
		return field.Invalid(field.NewPath("spec", "clusterIPs"), svc.Spec.ClusterIPs, addressText(value, cause))
	}
	port := value.Number.Port()
	path := field.NewPath("spec", "healthCheckNodePort")
	for i := range svc.Spec.Ports {
		if svc.Spec.Ports[i].NodePort == port {
			path = field.NewPath("spec", "ports").Index(i).Child("nodePort")
			break
		}
	}
	return field.Invalid(path, port, PortText(cause))
}

func addressText(value allocation.Value, cause error) string {
	if _, ok := errors.AsType[*outOfRangeError](cause); ok {
		return fmt.Sprintf("failed to allocate IP %s: the provided network does not match the current range", value)
	}
	if full, ok := errors.AsType[*allocation.FullError](cause); ok {
		return "failed to allocate a serviceIP: " + full.Error()
	}
	if taken, ok := errors.AsType[*takenError](cause); ok {
		return fmt.Sprintf("failed to allocate IP %s: provided IP is %v", value, taken)
	}
	return fmt.Sprintf("failed to allocate IP %s: %v", value, cause)
}

// PortText words, as upstream does, why a port can't be had.
func PortText(cause error) string {
	if _, ok := errors.AsType[*outOfRangeError](cause); ok {
		return "provided port is not in the valid range"
	}
	if full, ok := errors.AsType[*allocation.FullError](cause); ok {
		return "failed to allocate a nodePort: " + full.Error()
	}
	if taken, ok := errors.AsType[*takenError](cause); ok {
		return "provided port is " + taken.Error()
	}
	return cause.Error()
}
