package nodeportrange

import (
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// Usage says how full the range with a name is; see v1.NodePortRangeStatus. Of
// one that it does not know, or not yet, it says 0 of everything.
type Usage interface {
	PortUsage(name string) (capacity, allocated, free int32)
}

// fill sets the figures on a NodePortRange, or on each in a list. Objects and
// items are shallow copies of what the watch cache holds; the figures are in the
// copy itself.
func fill(usage Usage, object runtime.Object) {
	switch object := object.(type) {
	case *v1.NodePortRange:
		fillOne(usage, object)
	case *v1.NodePortRangeList:
		for i := range object.Items {
			fillOne(usage, &object.Items[i])
		}
	}
}

func fillOne(usage Usage, ports *v1.NodePortRange) {
	status := &ports.Status
	status.Capacity, status.Allocated, status.Free = usage.PortUsage(ports.Name)
}
