package namespace

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/pkg/registry/table"
)

// TableConvertor has the columns of upstream's Namespace table
// (pkg/printers/internalversion).
var TableConvertor = table.NewConvertor(corev1.Resource("namespaces"), []metav1.TableColumnDefinition{
	table.NameColumn(),
	{Name: "Status", Type: "string", Description: "The status of the namespace"},
	table.AgeColumn(),
}, func(namespace *corev1.Namespace) []any {
	return []any{namespace.Name, string(namespace.Status.Phase), table.Age(namespace.CreationTimestamp)}
})
