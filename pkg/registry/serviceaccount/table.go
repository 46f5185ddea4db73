package serviceaccount

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the columns of upstream's ServiceAccount table
// (pkg/printers/internalversion).
var TableConvertor = generic.NewTable(corev1.Resource("serviceaccounts"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	generic.AgeColumn(),
}, func(account *corev1.ServiceAccount) []any {
	return []any{account.Name, generic.Age(account.CreationTimestamp)}
})
