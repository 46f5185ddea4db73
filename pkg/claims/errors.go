package claims

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// takenError reports that another object holds a value. It names the holder if the
// caller may know it. The text begins like upstream's, which tools match on.
type takenError struct {
	holder string
	// reason says why the holder can't share the value. It is empty for values that are
	// never shared.
	reason string
}

func (e *takenError) Error() string {
	text := "already allocated"
	if e.holder != "" {
		text += " by " + e.holder
	}
	if e.holder != "" && e.reason != "" {
		text += ", " + e.reason
	}
	return text
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

// interpret names the Service in the error of a transaction that is too large.
func interpret(err error, last *attempt) error {
	var large *txn.TooLargeError
	if errors.As(err, &large) && large.Operations > 0 && last != nil {
		return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("service %q claims %d addresses and ports: %v",
			last.owner.Name, len(last.take)+len(last.release)+len(last.rewrite), large))
	}
	return err
}

// errContended asks the client to retry: another write came first in each attempt.
func errContended(svc *v1.Service) error {
	return apierrors.NewTooManyRequests(fmt.Sprintf(
		"what service %q claims was changed by others in each of %d attempts; try again", svc.Name, maxAttempts), 1)
}

// errReserved asks the client to retry, when there are reservations for the Service that
// this replica did not know during admission, which gives it the reserved values.
func errReserved(svc *v1.Service) error {
	return apierrors.NewTooManyRequests(fmt.Sprintf("values were reserved for service %q a moment ago; try again", svc.Name), 1)
}
