package lease

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the columns of upstream's Lease table
// (pkg/printers/internalversion).
var TableConvertor = generic.NewTable(Resource, []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Holder", Type: "string", Description: coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"]},
	generic.AgeColumn(),
}, func(lease *coordinationv1.Lease) []any {
	return []any{lease.Name, ptr.Deref(lease.Spec.HolderIdentity, ""), generic.Age(lease.CreationTimestamp)}
})
