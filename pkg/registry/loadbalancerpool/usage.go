package loadbalancerpool

import (
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// Usage returns the usage of pools.
type Usage interface {
	// PoolUsage returns the usage of each IP family that a pool has, IPv4 first. It
	// returns none for a pool that is not known yet.
	PoolUsage(name string) []v1.FamilyUsage
}

// fill sets the usage of a LoadBalancerPool, or of each one in a list. The objects are
// shallow copies from the watch cache, so fill replaces slices instead of modifying them.
func fill(usage Usage, obj runtime.Object) {
	if usage == nil {
		return
	}
	switch obj := obj.(type) {
	case *v1.LoadBalancerPool:
		obj.Status.Families = usage.PoolUsage(obj.Name)
	case *v1.LoadBalancerPoolList:
		for i := range obj.Items {
			obj.Items[i].Status.Families = usage.PoolUsage(obj.Items[i].Name)
		}
	}
}
