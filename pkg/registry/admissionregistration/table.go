package admissionregistration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// The tables have upstream's columns (pkg/printers/internalversion).
var (
	ValidatingPolicyTable = table("validatingadmissionpolicies", []metav1.TableColumnDefinition{
		{Name: "Validations", Type: "integer", Description: "Validations indicates the number of validation rules defined in this configuration"},
		paramKindColumn,
	}, func(p *admissionregistrationv1.ValidatingAdmissionPolicy) (string, metav1.Time, []any) {
		return p.Name, p.CreationTimestamp, []any{len(p.Spec.Validations), paramKind(p.Spec.ParamKind)}
	})
	MutatingPolicyTable = table("mutatingadmissionpolicies", []metav1.TableColumnDefinition{
		{Name: "Mutations", Type: "integer", Description: "Mutation indicates the number of mutations rules defined in this configuration"},
		paramKindColumn,
	}, func(p *admissionregistrationv1.MutatingAdmissionPolicy) (string, metav1.Time, []any) {
		return p.Name, p.CreationTimestamp, []any{len(p.Spec.Mutations), paramKind(p.Spec.ParamKind)}
	})
	ValidatingBindingTable = table("validatingadmissionpolicybindings", bindingColumns,
		func(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) (string, metav1.Time, []any) {
			return b.Name, b.CreationTimestamp, []any{b.Spec.PolicyName, paramRef(b.Spec.ParamRef)}
		})
	MutatingBindingTable = table("mutatingadmissionpolicybindings", bindingColumns,
		func(b *admissionregistrationv1.MutatingAdmissionPolicyBinding) (string, metav1.Time, []any) {
			return b.Name, b.CreationTimestamp, []any{b.Spec.PolicyName, paramRef(b.Spec.ParamRef)}
		})
	ValidatingWebhookTable = table("validatingwebhookconfigurations", webhookColumns,
		func(c *admissionregistrationv1.ValidatingWebhookConfiguration) (string, metav1.Time, []any) {
			return c.Name, c.CreationTimestamp, []any{len(c.Webhooks)}
		})
	MutatingWebhookTable = table("mutatingwebhookconfigurations", webhookColumns,
		func(c *admissionregistrationv1.MutatingWebhookConfiguration) (string, metav1.Time, []any) {
			return c.Name, c.CreationTimestamp, []any{len(c.Webhooks)}
		})
)

var (
	paramKindColumn = metav1.TableColumnDefinition{
		Name: "ParamKind", Type: "string", Description: "ParamKind specifies the kind of resources used to parameterize this policy",
	}
	bindingColumns = []metav1.TableColumnDefinition{
		{Name: "PolicyName", Type: "string", Description: "PolicyName indicates the policy definition which the policy binding binded to"},
		{Name: "ParamRef", Type: "string", Description: "ParamRef indicates the param resource which sets the configuration param"},
	}
	webhookColumns = []metav1.TableColumnDefinition{
		{Name: "Webhooks", Type: "integer", Description: "Webhooks indicates the number of webhooks registered in this configuration"},
	}
)

// table returns a table with columns between the name and the age.
func table[T runtime.Object](resource string, columns []metav1.TableColumnDefinition,
	cells func(T) (name string, created metav1.Time, cells []any)) rest.TableConvertor {
	all := append([]metav1.TableColumnDefinition{generic.NameColumn()}, columns...)
	return generic.NewTable(admissionregistrationv1.Resource(resource), append(all, generic.AgeColumn()), func(obj T) []any {
		name, created, cells := cells(obj)
		return append(append([]any{name}, cells...), generic.Age(created))
	})
}

const unset = "<unset>"

func paramKind(kind *admissionregistrationv1.ParamKind) string {
	if kind == nil {
		return unset
	}
	return kind.APIVersion + "/" + kind.Kind
}

func paramRef(ref *admissionregistrationv1.ParamRef) string {
	switch {
	case ref != nil && ref.Name != "" && ref.Namespace != "":
		return ref.Namespace + "/" + ref.Name
	case ref != nil && ref.Name != "":
		return "*/" + ref.Name
	case ref != nil && ref.Selector != nil:
		return ref.Selector.String()
	default:
		return unset
	}
}
