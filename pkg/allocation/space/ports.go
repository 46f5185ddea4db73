package space

import (
	"errors"
	"fmt"
	"slices"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

const (
	// The static band of a run of ports is a 32nd of it, within these bounds,
	// and none of a run no larger than the lower one (KEP-3668).
	minStaticPorts, maxStaticPorts = 16, 128
	staticPortsStep                = 32
)

// PortSpans are the ports that a NodePortRange names, one span for each entry
// and in their order. An entry is a port ("443") or two with both ends included
// ("30000-32767"), in plain decimals from 1 to 65535.
//
// staticBand is how many of the lowest ports of each span are its static band,
// no more than the span has; nil means upstream's rule (KEP-3668).
//
// It fails on an empty list, an entry that is malformed, out of bounds or
// upside down, entries that overlap, and a negative staticBand. The error
// quotes the entry.
func PortSpans(ports []string, staticBand *int32) ([]Span, error) {
	if len(ports) == 0 {
		return nil, errors.New("at least one port or range of ports is required")
	}
	if staticBand != nil && *staticBand < 0 {
		return nil, fmt.Errorf("static band %d: must not be negative", *staticBand)
	}
	spans := make([]Span, 0, len(ports))
	for _, entry := range ports {
		first, last, err := v1.ParsePortRange(entry)
		if err != nil {
			return nil, fmt.Errorf("ports %q: %w", entry, err)
		}
		span := Span{First: FromPort(first), Last: FromPort(last)}
		span.Static = staticPorts(span.Size(), staticBand)
		spans = append(spans, span)
	}
	if one, other, ok := findOverlap(spans); ok {
		return nil, fmt.Errorf("ports %q: overlap %q", ports[other], ports[one])
	}
	return spans, nil
}

func staticPorts(size uint64, staticBand *int32) uint64 {
	switch {
	case staticBand != nil:
		return min(uint64(*staticBand), size)
	case size <= minStaticPorts:
		return 0
	default:
		return min(max(minStaticPorts, size/staticPortsStep), maxStaticPorts)
	}
}

// findOverlap returns the indices, in ascending order, of two spans that have a
// number in common.
func findOverlap(spans []Span) (one, other int, ok bool) {
	order := make([]int, len(spans))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return spans[a].First.Compare(spans[b].First) })
	for i := 1; i < len(order); i++ {
		a, b := order[i-1], order[i]
		if spans[a].Contains(spans[b].First) {
			return min(a, b), max(a, b), true
		}
	}
	return 0, 0, false
}
