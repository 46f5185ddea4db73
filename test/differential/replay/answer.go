//go:build e2e

package replay

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// exchange is one request and both servers' masked answers.
type exchange struct {
	sequence string
	step     Step
	// before is Portolan's last answer about the object, masked.
	before       any
	theirs, ours answer
}

// answer is the masked answer of one server.
type answer struct {
	code     int
	warnings []string
	body     any
}

// cause is one cause of a Status.
type cause struct {
	reason, field, message string
}

func (a *answer) successful() bool { return a.code < http.StatusBadRequest }

// comparable returns the whole answer as one value.
func (a *answer) comparable() any {
	texts := make([]any, len(a.warnings))
	for i, text := range a.warnings {
		texts[i] = text
	}
	return map[string]any{"code": a.code, "warnings": texts, "body": a.body}
}

// text returns a field of a Status, or "" if the Status has no such field.
func (a *answer) text(key string) string {
	status, _ := a.body.(map[string]any)
	text, _ := status[key].(string)
	return text
}

func (a *answer) is(code int, reason string) bool {
	return a.code == code && a.text("reason") == reason
}

// invalid reports whether the object was rejected as invalid.
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

// plainCauses returns the causes without the holders, which upstream does not
// name.
func (a *answer) plainCauses() []cause {
	causes := a.causes()
	for i := range causes {
		causes[i].message = holders.ReplaceAllString(causes[i].message, "already allocated")
	}
	return causes
}

// refusedAllocation reports whether a value could not be allocated, and nothing
// else is wrong.
func (a *answer) refusedAllocation() bool {
	if a.code == http.StatusInternalServerError {
		return strings.Contains(a.text("message"), "failed to allocate requested HealthCheck NodePort")
	}
	return a.invalid() && all(a.causes(), allocation)
}

func (e *exchange) onStatus() bool { return strings.HasSuffix(e.step.Path, "/status") }

// onlyDiffers reports whether every difference meets a condition.
func (e *exchange) onlyDiffers(is func(difference) bool) bool {
	found := differences("", e.theirs.comparable(), e.ours.comparable())
	return !slices.ContainsFunc(found, func(d difference) bool { return !is(d) })
}

// onlyMore reports whether Portolan's answer has causes of the first kind, and
// maybe of the other kinds, in addition to those of both answers.
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

// sharesNodePort reports whether the node port at a path is also the node port
// of the same port with another protocol.
func (a *answer) sharesNodePort(path string) bool {
	port := portAt(a.body, path)
	return slices.ContainsFunc(portsOf(a.body), func(twin map[string]any) bool {
		return twin["nodePort"] == port["nodePort"] && twin["port"] == port["port"] && twin["protocol"] != port["protocol"]
	})
}

// keepsNodePort reports whether the port at a path had its node port before,
// maybe under another name.
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

// all reports whether there are causes and all meet a condition.
func all(causes []cause, is func(cause) bool) bool {
	return len(causes) > 0 && !slices.ContainsFunc(causes, func(c cause) bool { return !is(c) })
}

func subset(few, many []cause) bool {
	return !slices.ContainsFunc(few, func(c cause) bool { return !slices.Contains(many, c) })
}

func sameCauses(a, b []cause) bool { return len(a) == len(b) && subset(a, b) && subset(b, a) }
