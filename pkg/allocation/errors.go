package allocation

import (
	"errors"
	"fmt"
	"strings"
)

// ErrOutside reports that a value lies in no usable range.
var ErrOutside = errors.New("the value lies in no usable range")

// reason says why a range gives a Service no value. It continues a sentence that begins
// with the range.
type reason string

const (
	notUsable    reason = "is being deleted or not ready"
	notSelecting reason = "does not select the Service"
	disabled     reason = "is disabled"
	onRequest    reason = "serves only Services that name it"
	notNamed     reason = "is not the one that the Service names"
	afterFull    reason = "comes after a range that fails when it is full"
	missing      reason = "does not exist"
)

// RefusedError reports that a range gives a Service no value.
type RefusedError struct {
	Range  string
	reason reason
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("the range %q %s", e.Range, e.reason) }

// ExhaustedError reports that an automatic pick found no free value.
type ExhaustedError struct {
	Class Class
	// Ranges are those that the pick could have come from.
	Ranges []RangeUsage
	// InProgress counts the values of these ranges that are picked for requests that are not
	// finished. A request that fails returns its values.
	InProgress int
	// Unclaimed counts the values of these ranges that Services use and do not claim.
	Unclaimed int
	// Passed are the others, and why the pick could not come from them. There are none
	// if no range has rules.
	Passed []*RefusedError
}

// Error implements error.
func (e *ExhaustedError) Error() string {
	if len(e.Ranges) == 0 && len(e.Passed) == 0 {
		return fmt.Sprintf("there is no range to pick an automatic value (%s) from", e.Class)
	}
	var parts []string
	for _, r := range e.Ranges {
		parts = append(parts, fmt.Sprintf("%s (%s) holds %d of %d", r.Name, r.Text, r.Allocated, r.Capacity))
	}
	if e.InProgress > 0 {
		parts = append(parts, fmt.Sprintf("requests in progress have picked %d", e.InProgress))
	}
	if e.Unclaimed > 0 {
		parts = append(parts, fmt.Sprintf("Services use %d that they do not claim yet", e.Unclaimed))
	}
	// The names of ranges that do not select a Service are no business of its owner.
	unselecting := 0
	for _, passed := range e.Passed {
		if passed.reason == notSelecting && len(e.Passed) > 1 {
			unselecting++
			continue
		}
		parts = append(parts, passed.Range+" "+string(passed.reason))
	}
	switch {
	case unselecting == 1:
		parts = append(parts, "1 other range does not select the Service")
	case unselecting > 1:
		parts = append(parts, fmt.Sprintf("%d other ranges do not select the Service", unselecting))
	}
	text := "no range has a value for the Service: "
	if len(e.Ranges) > 0 {
		text = "range is full: "
	}
	return text + strings.Join(parts, "; ")
}
