package servicecidr

import (
	"context"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/decorate"
)

// Usage says how full a CIDR is; see v1.CIDRUsage. Of one that it does not know,
// or not yet, it says 0 of everything.
type Usage interface {
	CIDRUsage(cidr string) (capacity, allocated, free int64)
}

// fill sets the figures on a ServiceCIDR, or on each in a list. Objects and
// items are shallow copies of what the watch cache holds, so the slice is always
// a new one.
func fill(usage Usage, object runtime.Object) {
	switch object := object.(type) {
	case *v1.ServiceCIDR:
		fillOne(usage, object)
	case *v1.ServiceCIDRList:
		for i := range object.Items {
			fillOne(usage, &object.Items[i])
		}
	}
}

func fillOne(usage Usage, cidr *v1.ServiceCIDR) {
	figures := make([]v1.CIDRUsage, 0, len(cidr.Spec.CIDRs))
	for _, block := range cidr.Spec.CIDRs {
		capacity, allocated, free := usage.CIDRUsage(block)
		figures = append(figures, v1.CIDRUsage{CIDR: block, Capacity: capacity, Allocated: allocated, Free: free})
	}
	cidr.Status.CIDRs = figures
}

// Watch implements rest.Watcher; see package decorate for why the store's own
// does not do.
func (r *REST) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	inner, err := r.undecorated.Watch(ctx, options)
	if err != nil {
		return nil, err
	}
	return decorate.Watch(ctx, inner, r.Decorator), nil
}
