package nodeport

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/claim"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the columns of the NodePort table.
var TableConvertor = generic.NewTable(v1.Resource("nodeports"), slices.Concat([]metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Protocols", Type: "string", Description: "The protocols that the holder serves on the port."},
	{Name: "ParentRef", Type: "string", Description: "The object that holds the port."},
}, claim.ReservationColumns(), []metav1.TableColumnDefinition{generic.AgeColumn()}), func(port *v1.NodePort) []any {
	holder := generic.None
	if ref := port.Spec.ParentRef; ref != nil {
		holder = ref.Holder()
	}
	return slices.Concat([]any{port.Name, protocolsCell(port.Spec.Protocols), holder},
		claim.ReservationCells(port.Spec.ParentRef, port.Spec.ExpirationTimestamp), []any{generic.Age(port.CreationTimestamp)})
})

func protocolsCell(protocols []corev1.Protocol) string {
	if len(protocols) == 0 {
		return generic.None
	}
	var names []string
	for _, protocol := range protocols {
		names = append(names, string(protocol))
	}
	return strings.Join(names, ",")
}
