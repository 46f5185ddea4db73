package configmap

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the columns of upstream's ConfigMap table
// (pkg/printers/internalversion). The column Data shows the number of keys.
var TableConvertor = generic.NewTable(corev1.Resource("configmaps"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Data", Type: "string", Description: corev1.ConfigMap{}.SwaggerDoc()["data"]},
	generic.AgeColumn(),
}, func(config *corev1.ConfigMap) []any {
	return []any{config.Name, int64(len(config.Data) + len(config.BinaryData)), generic.Age(config.CreationTimestamp)}
})
