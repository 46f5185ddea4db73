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
	{Name: "Ports", Type: "string", Description: "The ports that node ports are allocated from."},
	{Name: "Auto-Assign", Type: "boolean", Description: "Whether a Service that leaves its node port open may be given one from here."},
	{Name: "Capacity", Type: "integer", Description: "How many ports the range has."},
	{Name: "Allocated", Type: "integer", Description: "How many ports are held, reservations included."},
	{Name: "Free", Type: "integer", Description: "How many ports are left."},
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
