package claims

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
)

// takenError reports that another object holds a value. It names the holder if the
// caller may know it. The text begins like upstream's, which tools match on.
type takenError struct {
	holder string
}

func (e *takenError) Error() string {
	if e.holder == "" {
		return "already allocated"
	}
	return "already allocated by " + e.holder
}

// outOfRangeError reports that a value lies in no usable range that serves the Service.
type outOfRangeError struct {
	value allocation.Value
	// cause is that of allocation.Index.Covering.
	cause error
	// usable are the blocks of the usable ranges, for messages.
	usable []string
}

func (e *outOfRangeError) Error() string {
	return fmt.Sprintf("%s: %v", e.value, e.cause)
}

// FieldError words why a Service can't have a value that stands in its spec. The cause
// is an *allocation.ExhaustedError or an error of this package.
func FieldError(svc *v1.Service, value allocation.Value, cause error) *field.Error {
	return kindOf(value.Class).fieldError(svc, value, cause)
}
