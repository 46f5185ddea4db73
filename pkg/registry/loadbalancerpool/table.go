package loadbalancerpool

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the columns of the LoadBalancerPool table. The usage is that of each
// IP family, IPv4 first.
var TableConvertor = generic.NewTable(v1.Resource("loadbalancerpools"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Addresses", Type: "string", Description: "The CIDRs and ranges from which load-balancer addresses are allocated."},
	{Name: "Class", Type: "string", Description: "The load balancer class of the Services that the pool serves."},
	{Name: "Capacity", Type: "string", Description: "The number of addresses of each IP family that Services can have."},
	{Name: "Allocated", Type: "string", Description: "The number of claimed addresses of each IP family, including reservations."},
	{Name: "Free", Type: "string", Description: "The number of unclaimed addresses of each IP family."},
	generic.AgeColumn(),
	generic.AllocationColumn(),
	generic.PriorityColumn(),
	generic.NamespacesColumn(),
	generic.ServicesColumn(),
	{Name: "Sharing", Type: "string", Priority: 1, Description: "Which Services can share an address: SameNamespace or AcrossNamespaces."},
}, func(pool *v1.LoadBalancerPool) []any {
	spec := &pool.Spec
	return []any{
		pool.Name,
		strings.Join(slices.Concat(spec.CIDRs, spec.Ranges), ","),
		ptr.Deref(spec.LoadBalancerClass, generic.None),
		usageCell(pool, capacity), usageCell(pool, allocated), usageCell(pool, free),
		generic.Age(pool.CreationTimestamp),
		string(ptr.Deref(spec.Allocation, v1.AllocationAutomatic)),
		int64(ptr.Deref(spec.Priority, 0)),
		generic.Selector(spec.NamespaceSelector),
		generic.Selector(spec.ServiceSelector),
		string(ptr.Deref(spec.Sharing, v1.SharingSameNamespace)),
	}
})

func capacity(usage v1.FamilyUsage) string {
	return cmp.Or(usage.ExactCapacity, strconv.FormatInt(usage.Capacity, 10))
}

func allocated(usage v1.FamilyUsage) string { return strconv.FormatInt(usage.Allocated, 10) }

func free(usage v1.FamilyUsage) string {
	return cmp.Or(usage.ExactFree, strconv.FormatInt(usage.Free, 10))
}

func usageCell(pool *v1.LoadBalancerPool, figure func(v1.FamilyUsage) string) string {
	if len(pool.Status.Families) == 0 {
		return generic.Unknown
	}
	cells := make([]string, len(pool.Status.Families))
	for i, usage := range pool.Status.Families {
		cells[i] = figure(usage)
	}
	return strings.Join(cells, ",")
}
