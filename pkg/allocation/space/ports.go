package space

import (
	"errors"
	"fmt"
	"slices"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

const (
	// The static band of a run of ports is a 32nd of it, within these bounds. A run that
	// is not larger than the lower bound has none (KEP-3668).
	minStaticPorts, maxStaticPorts = 16, 128
	staticPortsStep                = 32
)

// PortSpans returns the ports of a NodePortRange, one span for each entry in their order.
// An entry is a port ("443") or two ports with both ends included ("30000-32767"), in plain
// decimals from 1 to 65535.
//
// staticBand is the size of the static band of each span, at most the size of the span. Nil
// means upstream's rule (KEP-3668).
//
// It fails for an empty list, for an entry that is malformed, out of bounds or reversed,
// for entries that overlap, and for a negative staticBand. The error quotes the entry.
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

// findOverlap returns the indexes, in ascending order, of two spans that overlap.
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
