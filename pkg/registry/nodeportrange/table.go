package nodeportrange

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
}, func(ports *v1.NodePortRange) []any {
	autoAssign := ports.Spec.AutoAssign == nil || *ports.Spec.AutoAssign
	status := ports.Status
	return []any{
		ports.Name,
		strings.Join(ports.Spec.Ports, ","),
		autoAssign,
		int64(status.Capacity), int64(status.Allocated), int64(status.Free),
		generic.Age(ports.CreationTimestamp),
	}
})
