package v1

import (
	"errors"
	"time"
)

const (
	// RetainAnnotation is the annotation of a Service whose addresses and ports stay
	// reserved for its namespace and name when it is deleted. Its value is true or false.
	RetainAnnotation = GroupName + "/retain"
	// RetainForAnnotation is the annotation of such a Service that says how long they stay
	// reserved, as a Go duration like 72h. Without it, they stay until the reservations are
	// deleted.
	RetainForAnnotation = GroupName + "/retain-for"
)

// errDuration describes the values of RetainForAnnotation.
var errDuration = errors.New(`must be a duration above 0 and up to 2562047h, such as "72h" or "30m"`)

// ParseRetainFor parses a value of RetainForAnnotation.
func ParseRetainFor(text string) (time.Duration, error) {
	duration, err := time.ParseDuration(text)
	if err != nil || duration <= 0 {
		return 0, errDuration
	}
	return duration, nil
}

// Retention reports whether what a Service holds stays reserved when it is deleted, and for
// how long; zero means forever. Something other than this server may have stored values that
// are not valid: an invalid RetainAnnotation counts as false, and an invalid
// RetainForAnnotation as forever.
func Retention(service *Service) (duration time.Duration, retained bool) {
	if service.Annotations[RetainAnnotation] != "true" {
		return 0, false
	}
	duration, err := ParseRetainFor(service.Annotations[RetainForAnnotation])
	if err != nil {
		return 0, true
	}
	return duration, true
}
