package namespace

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the columns of upstream's Namespace table
// (pkg/printers/internalversion).
var TableConvertor = generic.NewTable(corev1.Resource("namespaces"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Status", Type: "string", Description: "The status of the namespace"},
	generic.AgeColumn(),
}, func(namespace *corev1.Namespace) []any {
	return []any{namespace.Name, string(namespace.Status.Phase), generic.Age(namespace.CreationTimestamp)}
})
