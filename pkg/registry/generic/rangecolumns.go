package generic

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// The columns of ranges that say which Services a range serves. kubectl shows them with
// -o wide.

// AllocationColumn is the column of the field spec.allocation.
func AllocationColumn() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Allocation", Type: "string", Priority: 1,
		Description: "Which of the selected Services get new values: Automatic, OnRequest or Disabled."}
}

// PriorityColumn is the column of the field spec.priority.
func PriorityColumn() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Priority", Type: "integer", Priority: 1,
		Description: "The place of the range among those that select a Service."}
}

// NamespacesColumn is the column of the field spec.namespaceSelector.
func NamespacesColumn() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Namespaces", Type: "string", Priority: 1,
		Description: "The selector of the namespaces whose Services the range serves."}
}

// ServicesColumn is the column of the field spec.serviceSelector.
func ServicesColumn() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Services", Type: "string", Priority: 1,
		Description: "The selector of the Services that the range serves."}
}

// Selector returns the cell of a selector.
func Selector(selector *metav1.LabelSelector) string {
	if selector == nil {
		return "<all>"
	}
	return metav1.FormatLabelSelector(selector)
}

// ComputedRangeConditions returns the fields of the conditions that are never stored.
func ComputedRangeConditions() *fieldpath.Set {
	fields := fieldpath.NewSet()
	for _, name := range v1.ComputedRangeConditions() {
		fields.Insert(fieldpath.MakePathOrDie("status", "conditions", fieldpath.KeyByFields("type", name)))
	}
	return fields
}
