package ipaddress

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/table"
)

// TableConvertor has the columns of upstream's IPAddress table
// (pkg/printers/internalversion), with the Age column that upstream sends cells
// for but does not declare.
var TableConvertor = table.NewConvertor(v1.Resource("ipaddresses"), []metav1.TableColumnDefinition{
	table.NameColumn(),
	{Name: "ParentRef", Type: "string", Description: "The object that holds the address."},
	table.AgeColumn(),
}, func(address *v1.IPAddress) []any {
	holder := table.None
	if ref := address.Spec.ParentRef; ref != nil {
		holder = ref.Holder()
	}
	return []any{address.Name, holder, table.Age(address.CreationTimestamp)}
})
