package ingressclass

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the columns of upstream's IngressClass table
// (pkg/printers/internalversion).
var TableConvertor = generic.NewTable(networkingv1.Resource("ingressclasses"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Controller", Type: "string", Description: "Controller that is responsible for handling this class"},
	{Name: "Parameters", Type: "string", Description: "A reference to a resource with additional parameters"},
	generic.AgeColumn(),
}, func(class *networkingv1.IngressClass) []any {
	name := class.Name
	if class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
		name += " (default)"
	}
	return []any{name, class.Spec.Controller, parameters(class.Spec.Parameters), generic.Age(class.CreationTimestamp)}
})

func parameters(reference *networkingv1.IngressClassParametersReference) string {
	if reference == nil {
		return generic.None
	}
	kind := reference.Kind
	if reference.APIGroup != nil {
		kind += "." + *reference.APIGroup
	}
	return kind + "/" + reference.Name
}
