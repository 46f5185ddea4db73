package nodeportrange

import (
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// Usage returns the usage of ranges.
type Usage interface {
	// PortUsage returns the usage of the range with the given name, as in
	// v1.NodePortRangeStatus. It returns zeros for a range that is not known yet.
	PortUsage(name string) (capacity, allocated, free int32)
}

// fill sets the usage of a NodePortRange, or of each one in a list. The objects are
// shallow copies from the watch cache; fill modifies only the copies.
func fill(usage Usage, obj runtime.Object) {
	switch obj := obj.(type) {
	case *v1.NodePortRange:
		fillOne(usage, obj)
	case *v1.NodePortRangeList:
		for i := range obj.Items {
			fillOne(usage, &obj.Items[i])
		}
	}
}

func fillOne(usage Usage, ports *v1.NodePortRange) {
	status := &ports.Status
	status.Capacity, status.Allocated, status.Free = usage.PortUsage(ports.Name)
}
