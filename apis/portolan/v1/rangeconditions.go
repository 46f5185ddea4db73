package v1

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// RangeConditionOverlapping is the condition of a range with a selector that has values
	// in common with ranges of other selectors.
	RangeConditionOverlapping = "Overlapping"
	// RangeConditionUnselectedHolders is the condition of a range with a selector that does
	// not select some of the Services that hold its values.
	RangeConditionUnselectedHolders = "UnselectedHolders"
)

// ComputedRangeConditions returns the types of the conditions that the server computes when
// a client reads a range. They are never stored.
func ComputedRangeConditions() []string {
	return []string{RangeConditionOverlapping, RangeConditionUnselectedHolders}
}

// StoredRangeConditions returns the conditions of a range without those that are never
// stored. It does not change its argument.
func StoredRangeConditions(conditions []metav1.Condition) []metav1.Condition {
	computed := func(c metav1.Condition) bool { return slices.Contains(ComputedRangeConditions(), c.Type) }
	if !slices.ContainsFunc(conditions, computed) {
		return conditions
	}
	return slices.DeleteFunc(slices.Clone(conditions), computed)
}
