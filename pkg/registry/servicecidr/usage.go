package servicecidr

import (
	"math"
	"math/big"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// Usage returns the usage of CIDRs.
type Usage interface {
	// CIDRUsage returns the usage of a CIDR, as in v1.CIDRUsage. It returns zeros for
	// a CIDR that is not known yet.
	CIDRUsage(cidr string) (capacity, allocated, free int64)
}

// fill sets the usage and the condition Ready of a ServiceCIDR, or of each one in a
// list. The objects are shallow copies from the watch cache, so fill replaces slices
// instead of modifying them.
func fill(usage Usage, obj runtime.Object) {
	switch obj := obj.(type) {
	case *v1.ServiceCIDR:
		fillOne(usage, obj)
	case *v1.ServiceCIDRList:
		for i := range obj.Items {
			fillOne(usage, &obj.Items[i])
		}
	}
}

func fillOne(usage Usage, cidr *v1.ServiceCIDR) {
	usages := make([]v1.CIDRUsage, 0, len(cidr.Spec.CIDRs))
	for _, block := range cidr.Spec.CIDRs {
		capacity, allocated, free := usage.CIDRUsage(block)
		one := v1.CIDRUsage{CIDR: block, Capacity: capacity, Allocated: allocated, Free: free}
		addExact(&one)
		usages = append(usages, one)
	}
	cidr.Status.CIDRs = usages
	addReadyCondition(cidr)
}

// addExact adds the numbers of a block with more addresses than an int64 can count.
func addExact(usage *v1.CIDRUsage) {
	if usage.Capacity < math.MaxInt64 {
		return
	}
	if exact := space.PrefixCount(usage.CIDR); exact != nil && !exact.IsInt64() {
		usage.ExactCapacity = exact.String()
		usage.ExactFree = exact.Sub(exact, big.NewInt(usage.Allocated)).String()
	}
}

// addReadyCondition adds the condition Ready. A range is ready once it exists. The
// message is that of upstream's controllers, which set the condition later
// (pkg/controller/servicecidrs and pkg/controlplane/controller/defaultservicecidr). A
// range that is being deleted or has the condition already stays unchanged.
func addReadyCondition(cidr *v1.ServiceCIDR) {
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
