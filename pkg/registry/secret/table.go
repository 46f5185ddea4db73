package secret

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the columns of upstream's Secret table
// (pkg/printers/internalversion). The column Data shows the number of keys.
var TableConvertor = generic.NewTable(corev1.Resource("secrets"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Type", Type: "string", Description: corev1.Secret{}.SwaggerDoc()["type"]},
	{Name: "Data", Type: "string", Description: corev1.Secret{}.SwaggerDoc()["data"]},
	generic.AgeColumn(),
}, func(secret *corev1.Secret) []any {
	return []any{secret.Name, string(secret.Type), int64(len(secret.Data)), generic.Age(secret.CreationTimestamp)}
})
