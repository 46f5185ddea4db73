package claims

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
)

// holdings are the values that a Service holds.
type holdings map[allocation.Value]holding

// holding is how a Service holds a value, which its claim records.
type holding struct {
	// protocols are those that the Service serves on a port.
	protocols []corev1.Protocol
	// share is the Service's share in a value that several Services can hold. It is nil for
	// other values.
	share *allocation.Share
}

func (h holding) equals(other holding) bool {
	return slices.Equal(h.protocols, other.protocols) && h.share.Equals(other.share)
}

// holdingsOf returns the values that a Service holds. It returns none for nil.
func holdingsOf(svc *v1.Service) holdings {
	held := holdings{}
	if svc == nil {
		return held
	}
	for _, k := range kinds() {
		k.addHoldings(svc, held)
	}
	return held
}

// difference is the change of a Service's holdings in a write.
type difference struct {
	take, release, rewrite []allocation.Value
}

// diff returns the difference of holdings, in no order.
func diff(before, after holdings) difference {
	var d difference
	for value, holds := range after {
		switch had, held := before[value]; {
		case !held:
			d.take = append(d.take, value)
		case !holds.equals(had):
			d.rewrite = append(d.rewrite, value)
		}
	}
	for value := range before {
		if _, held := after[value]; !held {
			d.release = append(d.release, value)
		}
	}
	return d
}

// kept returns the values that the Service holds before and after a write.
func kept(before, after holdings) []allocation.Value {
	var both []allocation.Value
	for value := range after {
		if _, held := before[value]; held {
			both = append(both, value)
		}
	}
	return both
}

// positions are the places of values in a Service.
type positions map[allocation.Value]int

// add adds a value after the others, unless it has a place.
func (p positions) add(value allocation.Value) {
	if _, placed := p[value]; !placed {
		p[value] = len(p)
	}
}

// sortAsWritten sorts values in the order of the Service's spec, addresses first.
// Upstream allocates them in this order, so an error is about the same value.
func sortAsWritten(svc *v1.Service, values []allocation.Value) {
	if len(values) < 2 {
		return
	}
	position := positions{}
	for _, k := range kinds() {
		k.addPositions(svc, position)
	}
	slices.SortFunc(values, func(a, b allocation.Value) int { return position[a] - position[b] })
}

// NewClaims returns the values that a write of after would claim. before is the stored
// Service or nil.
func NewClaims(after, before *v1.Service) []allocation.Value {
	take := diff(holdingsOf(before), holdingsOf(after)).take
	sortAsWritten(after, take)
	return take
}
