package claims

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/service"
)

// holdings are the values that a Service holds, each with the protocols it
// serves there (for addresses none).
type holdings map[allocation.Value][]corev1.Protocol

// holdingsOf works out what a Service holds. Nil holds nothing.
func holdingsOf(svc *v1.Service) holdings {
	held := holdings{}
	if svc == nil {
		return held
	}
	for _, addr := range service.ClusterIPs(svc) {
		held[allocation.Address(addr)] = nil
	}
	for port, protocols := range service.NodePorts(svc) {
		held[allocation.NodePort(port)] = protocols
	}
	return held
}

// difference is what a write changes in a Service's holdings. Adopted are values
// that it keeps and had no claim on.
type difference struct {
	take, release, rewrite, adopt []allocation.Value
}

func differ(before, after holdings) difference {
	var d difference
	for value, protocols := range after {
		switch had, held := before[value]; {
		case !held:
			d.take = append(d.take, value)
		case !slices.Equal(had, protocols):
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

// sortAsWritten brings values of a Service into the order in which its spec has
// them, addresses first, which is the one in which upstream allocates them: of
// several that can't be had, it is the first that the client is told of.
func sortAsWritten(svc *v1.Service, values []allocation.Value) {
	if len(values) < 2 {
		return
	}
	position := map[allocation.Value]int{}
	note := func(value allocation.Value) {
		if _, noted := position[value]; !noted {
			position[value] = len(position)
		}
	}
	for _, addr := range service.ClusterIPs(svc) {
		note(allocation.Address(addr))
	}
	for i := range svc.Spec.Ports {
		note(allocation.NodePort(svc.Spec.Ports[i].NodePort))
	}
	note(allocation.NodePort(svc.Spec.HealthCheckNodePort))
	slices.SortFunc(values, func(a, b allocation.Value) int { return position[a] - position[b] })
}

// Taken are the values that a write of after would claim anew, before being
// the stored Service or nil.
func Taken(after, before *v1.Service) []allocation.Value {
	take := differ(holdingsOf(before), holdingsOf(after)).take
	sortAsWritten(after, take)
	return take
}
