package failover

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// nameModel models a Service's name: a register with the version of the
// Service. Inputs are requests.
var nameModel = porcupine.Model{
	Init: func() any { return version("") },
	Step: func(state, input, _ any) (bool, any) {
		r, now := input.(request), state.(version)
		if !r.write {
			return r.found == now, now
		}
		switch r.result {
		case done:
			return r.from == now, r.to
		case exists:
			return now != "", now
		case conflict:
			// A write of a deleted Service is a conflict as well, as in
			// kube-apiserver: the UID is not that of the current one.
			return r.from != now, now
		case absent:
			return now == "", now
		}
		// A write that was never carried out comes last, where it changes
		// nothing that any request reads.
		if r.from == now {
			return true, r.to
		}
		return true, now
	},
}

// step is the effect of one request on a value.
type step struct {
	kind stepKind
	// holder is the UID of the Service that takes, releases or holds the value.
	holder string
}

type stepKind string

const (
	take         stepKind = "take"
	release      stepKind = "release"
	maybeRelease stepKind = "maybe release"
	refused      stepKind = "refused"
	look         stepKind = "look"
)

func (s step) String() string { return fmt.Sprintf("%s by %q", s.kind, s.holder) }

// valueModel models an address or a port: a register with the UID of the
// Service that holds it. Inputs are steps.
var valueModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		s, holder := input.(step), state.(string)
		switch s.kind {
		case take:
			return holder == "", s.holder
		case release:
			return holder == s.holder, ""
		case refused:
			return holder != "" && holder != s.holder, holder
		case look:
			return holder == s.holder, holder
		}
		if holder == s.holder {
			return true, ""
		}
		return true, holder
	},
}

// checkTimeout bounds the search for an order of the operations on one name or
// value.
const checkTimeout = time.Minute

// check returns the violations of a history, and how many operations it
// checked.
func (h *history) check() (violations []string, count int) {
	for _, part := range []struct {
		of    string
		model porcupine.Model
		parts map[string][]porcupine.Operation
	}{{"name", nameModel, h.byName()}, {"value", valueModel, h.byValue()}} {
		for _, key := range slices.Sorted(maps.Keys(part.parts)) {
			operations := part.parts[key]
			count += len(operations)
			switch porcupine.CheckOperationsTimeout(part.model, operations, checkTimeout) {
			case porcupine.Illegal:
				violations = append(violations,
					fmt.Sprintf("the %s %s: no order explains what was answered:\n%s", part.of, key, text(part.model, operations)))
			case porcupine.Unknown:
				violations = append(violations, fmt.Sprintf("the %s %s: no order was found in %v", part.of, key, checkTimeout))
			}
		}
	}
	return violations, count
}

// text shows the end of the longest order that was found, and the operations
// that cannot follow.
func text(model porcupine.Model, operations []porcupine.Operation) string {
	_, info := porcupine.CheckOperationsVerbose(model, operations, checkTimeout)
	var longest []int
	for _, order := range info.PartialLinearizations()[0] {
		if len(order) > len(longest) {
			longest = order
		}
	}
	rest := map[int]porcupine.Operation{}
	for i, o := range operations {
		rest[i] = o
	}
	const shown = 8
	var lines []string
	for i, id := range longest {
		delete(rest, id)
		if i >= len(longest)-shown {
			lines = append(lines, line(operations[id]))
		}
	}
	lines = append(lines, "  and then none of")
	for i, o := range slices.SortedFunc(maps.Values(rest), func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) }) {
		if i < shown {
			lines = append(lines, line(o))
		}
	}
	return strings.Join(lines, "\n")
}

func line(o porcupine.Operation) string {
	answer := "never"
	if o.Return != int64(forever) {
		answer = time.Duration(o.Return).String()
	}
	outcome := ""
	if r, ok := o.Input.(request); ok {
		outcome = r.result.String()
	}
	return fmt.Sprintf("  client %d, %v to %s: %v %s", o.ClientId, time.Duration(o.Call), answer, o.Input, outcome)
}
