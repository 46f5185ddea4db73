package nodeportrange

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the columns of the NodePortRange table.
var TableConvertor = generic.NewTable(v1.Resource("nodeportranges"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Ports", Type: "string", Description: "The ports from which node ports are allocated."},
	{Name: "Auto-Assign", Type: "boolean", Description: "Whether Services that do not name a node port can get one from this range."},
	{Name: "Capacity", Type: "integer", Description: "The number of ports in the range."},
	{Name: "Allocated", Type: "integer", Description: "The number of claimed ports, including reservations."},
	{Name: "Free", Type: "integer", Description: "The number of unclaimed ports."},
	generic.AgeColumn(),
	generic.AllocationColumn(),
	generic.PriorityColumn(),
	generic.NamespacesColumn(),
	generic.ServicesColumn(),
}, func(ports *v1.NodePortRange) []any {
	spec, status := &ports.Spec, ports.Status
	autoAssign := ptr.Deref(spec.AutoAssign, true)
	allocation := v1.AllocationAutomatic
	if !autoAssign {
		allocation = v1.AllocationOnRequest
	}
	return []any{
		ports.Name,
		strings.Join(spec.Ports, ","),
		autoAssign,
		int64(status.Capacity), int64(status.Allocated), int64(status.Free),
		generic.Age(ports.CreationTimestamp),
		string(ptr.Deref(spec.Allocation, allocation)),
		int64(ptr.Deref(spec.Priority, 0)),
		generic.Selector(spec.NamespaceSelector),
		generic.Selector(spec.ServiceSelector),
	}
})
