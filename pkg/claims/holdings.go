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

// difference is what a write changes in a Service's holdings.
type difference struct {
	take, release, rewrite []allocation.Value
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

// Taken are the values that a write of after would claim anew, before being
// the stored Service or nil.
func Taken(after, before *v1.Service) []allocation.Value {
	return differ(holdingsOf(before), holdingsOf(after)).take
}
