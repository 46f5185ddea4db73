//go:build e2e

package replay

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// exchange is one request and what the two servers answered, masked.
type exchange struct {
	sequence string
	step     Step
	// before is what Portolan last answered of the object, masked.
	before       any
	theirs, ours answer
}

// answer is one server's, masked.
type answer struct {
	code     int
	warnings []string
	body     any
}

// cause is one of a Status.
type cause struct {
	reason, field, message string
}

func (a *answer) successful() bool { return a.code < http.StatusBadRequest }

// comparable is all of an answer as one value.
func (a *answer) comparable() any {
	texts := make([]any, len(a.warnings))
	for i, text := range a.warnings {
		texts[i] = text
	}
	return map[string]any{"code": a.code, "warnings": texts, "body": a.body}
}

// text is a field of a Status, empty where there is none.
func (a *answer) text(key string) string {
	status, _ := a.body.(map[string]any)
	text, _ := status[key].(string)
	return text
}

func (a *answer) is(code int, reason string) bool {
	return a.code == code && a.text("reason") == reason
}

// invalid says whether something is wrong with the object.
func (a *answer) invalid() bool { return a.is(http.StatusUnprocessableEntity, "Invalid") }

func (a *answer) causes() []cause {
	status, _ := a.body.(map[string]any)
	details, _ := status["details"].(map[string]any)
	listed, _ := details["causes"].([]any)
	var causes []cause
	for _, item := range listed {
		if item, ok := item.(map[string]any); ok {
			causes = append(causes, cause{fmt.Sprint(item["reason"]), fmt.Sprint(item["field"]), fmt.Sprint(item["message"])})
		}
	}
	return causes
}

// plainCauses are the causes without the holders, which upstream doesn't name.
func (a *answer) plainCauses() []cause {
	causes := a.causes()
	for i := range causes {
		causes[i].message = holders.ReplaceAllString(causes[i].message, "already allocated")
	}
	return causes
}

// refusedAllocation says whether a value could not be had, and nothing else is
// wrong.
func (a *answer) refusedAllocation() bool {
	if a.code == http.StatusInternalServerError {
		return strings.Contains(a.text("message"), "failed to allocate requested HealthCheck NodePort")
	}
	return a.invalid() && all(a.causes(), allocation)
}

func (e *exchange) onStatus() bool { return strings.HasSuffix(e.step.Path, "/status") }

// onlyDiffers says whether each difference is a given one.
func (e *exchange) onlyDiffers(is func(difference) bool) bool {
	found := differences("", e.theirs.comparable(), e.ours.comparable())
	return !slices.ContainsFunc(found, func(d difference) bool { return !is(d) })
}

// onlyMore says whether our answer has causes of the first kind, and maybe of
// others, besides those that both have.
func (e *exchange) onlyMore(kinds ...func(cause) bool) bool {
	rest := slices.DeleteFunc(e.ours.plainCauses(), func(c cause) bool {
		return slices.ContainsFunc(kinds, func(is func(cause) bool) bool { return is(c) })
	})
	if !slices.ContainsFunc(e.ours.causes(), kinds[0]) {
		return false
	}
	return (e.theirs.invalid() && sameCauses(rest, e.theirs.causes())) ||
		len(rest) == 0 && (e.theirs.successful() || e.theirs.is(http.StatusConflict, "AlreadyExists") ||
			e.theirs.is(http.StatusForbidden, "Forbidden"))
}

// sharesNodePort says whether the node port at a path is also that of the same
// port by another protocol.
func (a *answer) sharesNodePort(path string) bool {
	port := portAt(a.body, path)
	return slices.ContainsFunc(portsOf(a.body), func(twin map[string]any) bool {
		return twin["nodePort"] == port["nodePort"] && twin["port"] == port["port"] && twin["protocol"] != port["protocol"]
	})
}

// keepsNodePort says whether the port at the path of its node port had it
// before, maybe by another name.
func (e *exchange) keepsNodePort(path string) bool {
	port := portAt(e.ours.body, path)
	return slices.ContainsFunc(portsOf(e.before), func(old map[string]any) bool {
		return old["nodePort"] == port["nodePort"] && old["port"] == port["port"] && old["protocol"] == port["protocol"]
	})
}

func portsOf(service any) []map[string]any {
	object, _ := service.(map[string]any)
	spec, _ := object["spec"].(map[string]any)
	list, _ := spec["ports"].([]any)
	var ports []map[string]any
	for _, item := range list {
		port, _ := item.(map[string]any)
		ports = append(ports, port)
	}
	return ports
}

func portAt(service any, path string) map[string]any {
	ports := portsOf(service)
	index, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(path, "/body/spec/ports/"), "/nodePort"))
	if err != nil || index >= len(ports) {
		return nil
	}
	return ports[index]
}

// all is false for none.
func all(causes []cause, is func(cause) bool) bool {
	return len(causes) > 0 && !slices.ContainsFunc(causes, func(c cause) bool { return !is(c) })
}

func subset(few, many []cause) bool {
	return !slices.ContainsFunc(few, func(c cause) bool { return !slices.Contains(many, c) })
}

func sameCauses(a, b []cause) bool { return len(a) == len(b) && subset(a, b) && subset(b, a) }
