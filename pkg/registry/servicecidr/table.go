package servicecidr

import (
	"cmp"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the columns of upstream's ServiceCIDR table
// (pkg/printers/internalversion), and the usage of each CIDR in the order of the spec.
var TableConvertor = generic.NewTable(v1.Resource("servicecidrs"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "CIDRs", Type: "string", Description: "The blocks from which cluster IPs are allocated."},
	{Name: "Capacity", Type: "string", Description: "The number of addresses in each block that Services can have."},
	{Name: "Allocated", Type: "string", Description: "The number of claimed addresses in each block, including reservations."},
	{Name: "Free", Type: "string", Description: "The number of unclaimed addresses in each block."},
	generic.AgeColumn(),
	generic.AllocationColumn(),
	generic.PriorityColumn(),
	generic.NamespacesColumn(),
	generic.ServicesColumn(),
}, func(cidr *v1.ServiceCIDR) []any {
	spec := &cidr.Spec
	return []any{
		cidr.Name,
		strings.Join(spec.CIDRs, ","),
		usageCell(cidr, capacity),
		usageCell(cidr, allocated),
		usageCell(cidr, free),
		generic.Age(cidr.CreationTimestamp),
		string(ptr.Deref(spec.Allocation, v1.AllocationAutomatic)),
		int64(ptr.Deref(spec.Priority, 0)),
		generic.Selector(spec.NamespaceSelector),
		generic.Selector(spec.ServiceSelector),
	}
})

// CoreTableConvertor has the columns of upstream's table only.
var CoreTableConvertor = generic.NewTable(networkingv1.Resource("servicecidrs"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "CIDRs", Type: "string", Description: networkingv1.ServiceCIDRSpec{}.SwaggerDoc()["cidrs"]},
	generic.AgeColumn(),
}, func(cidr *v1.ServiceCIDR) []any {
	return []any{cidr.Name, strings.Join(cidr.Spec.CIDRs, ","), generic.Age(cidr.CreationTimestamp)}
})

func capacity(usage v1.CIDRUsage) string {
	return cmp.Or(usage.ExactCapacity, strconv.FormatInt(usage.Capacity, 10))
}

func allocated(usage v1.CIDRUsage) string { return strconv.FormatInt(usage.Allocated, 10) }

func free(usage v1.CIDRUsage) string {
	return cmp.Or(usage.ExactFree, strconv.FormatInt(usage.Free, 10))
}

func usageCell(cidr *v1.ServiceCIDR, figure func(v1.CIDRUsage) string) string {
	known := map[string]string{}
	for _, usage := range cidr.Status.CIDRs {
		known[usage.CIDR] = figure(usage)
	}
	var cells []string
	for _, block := range cidr.Spec.CIDRs {
		cell, ok := known[block]
		if !ok {
			cell = generic.Unknown
		}
		cells = append(cells, cell)
	}
	return strings.Join(cells, ",")
}
