package lease

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/registry/table"
)

// TableConvertor has the columns of upstream's Lease table
// (pkg/printers/internalversion).
var TableConvertor = table.NewConvertor(Resource, []metav1.TableColumnDefinition{
	table.NameColumn(),
	{Name: "Holder", Type: "string", Description: coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"]},
	table.AgeColumn(),
}, func(lease *coordinationv1.Lease) []any {
	return []any{lease.Name, ptr.Deref(lease.Spec.HolderIdentity, ""), table.Age(lease.CreationTimestamp)}
})
