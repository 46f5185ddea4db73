package servicecidr

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// Usage says how full a CIDR is; see v1.CIDRUsage. Of one that it does not know,
// or not yet, it says 0 of everything.
type Usage interface {
	CIDRUsage(cidr string) (capacity, allocated, free int64)
}

// fill sets the figures on a ServiceCIDR, or on each in a list, and says that it is
// ready. Objects and items are shallow copies of what the watch cache holds, so the
// slices are always new ones.
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
	sayReady(cidr)
}

// sayReady adds that a range is ready, which it is as soon as it is there, in the
// words of upstream's controllers, who find out later (pkg/controller/servicecidrs
// and pkg/controlplane/controller/defaultservicecidr). One that is to go, and one
// whose status says anything of it, is left as it is.
func sayReady(cidr *v1.ServiceCIDR) {
	if cidr.DeletionTimestamp != nil || meta.FindStatusCondition(cidr.Status.Conditions, v1.ServiceCIDRConditionReady) != nil {
		return
	}
	message := "Kubernetes Service CIDR is ready"
	if cidr.Name == v1.DefaultRangeName {
		message = "Kubernetes default Service CIDR is ready"
	}
	cidr.Status.Conditions = append(slices.Clip(cidr.Status.Conditions), metav1.Condition{
		Type: v1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue, LastTransitionTime: cidr.CreationTimestamp, Message: message,
	})
}
