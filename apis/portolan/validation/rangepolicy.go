package validation

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// rangePolicy has the fields that say which Services a range serves. All kinds of ranges
// have them. Upstream has none of them.
type rangePolicy struct {
	namespaceSelector, serviceSelector *metav1.LabelSelector
	allocation                         *v1.RangeAllocation
	whenFull                           *v1.RangeWhenFull
}

func cidrPolicy(spec *v1.ServiceCIDRSpec) rangePolicy {
	return rangePolicy{spec.NamespaceSelector, spec.ServiceSelector, spec.Allocation, spec.WhenFull}
}

func portPolicy(spec *v1.NodePortRangeSpec) rangePolicy {
	return rangePolicy{spec.NamespaceSelector, spec.ServiceSelector, spec.Allocation, spec.WhenFull}
}

func validateRangePolicy(policy rangePolicy) field.ErrorList {
	errs := validateRangeSelector(policy.namespaceSelector, specPath.Child("namespaceSelector"))
	errs = append(errs, validateRangeSelector(policy.serviceSelector, specPath.Child("serviceSelector"))...)
	errs = append(errs, validateEnum(policy.allocation, specPath.Child("allocation"),
		v1.AllocationAutomatic, v1.AllocationOnRequest, v1.AllocationDisabled)...)
	return append(errs, validateEnum(policy.whenFull, specPath.Child("whenFull"), v1.WhenFullFail, v1.WhenFullFallBack)...)
}

// validateEnum accepts nil, which stands for the default.
func validateEnum[T ~string](value *T, path *field.Path, supported ...T) field.ErrorList {
	if value == nil || slices.Contains(supported, *value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, *value, supported)}
}

func validateRangeSelector(selector *metav1.LabelSelector, path *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, path)
	if selector == nil || len(errs) > 0 {
		return errs
	}
	if key, contradictory := contradiction(selector); contradictory {
		return field.ErrorList{field.Invalid(path, metav1.FormatLabelSelector(selector),
			"selects nothing: its requirements on "+key+" contradict each other")}
	}
	return nil
}

// demand is what a selector requires of one label.
type demand struct {
	present, absent bool
	// among has the values of which the label must have one; nil allows all.
	among, none sets.Set[string]
}

// contradiction returns a key whose requirements no labels can meet.
func contradiction(selector *metav1.LabelSelector) (key string, found bool) {
	demands := map[string]demand{}
	for key, value := range selector.MatchLabels {
		demands[key] = demand{present: true, among: sets.New(value)}
	}
	for _, requirement := range selector.MatchExpressions {
		d := demands[requirement.Key]
		values := sets.New(requirement.Values...)
		switch requirement.Operator {
		case metav1.LabelSelectorOpIn:
			d.present = true
			if d.among != nil {
				values = values.Intersection(d.among)
			}
			d.among = values
		case metav1.LabelSelectorOpNotIn:
			d.none = values.Union(d.none)
		case metav1.LabelSelectorOpExists:
			d.present = true
		case metav1.LabelSelectorOpDoesNotExist:
			d.absent = true
		}
		demands[requirement.Key] = d
	}
	for _, key := range sets.List(sets.KeySet(demands)) {
		d := demands[key]
		if d.present && d.absent || d.among != nil && d.among.Difference(d.none).Len() == 0 {
			return key, true
		}
	}
	return "", false
}

// validateAutoAssign rejects a range that both forbids and allows automatic values. The
// default of autoAssign is true, so that true says nothing.
func validateAutoAssign(spec *v1.NodePortRangeSpec) field.ErrorList {
	if ptr.Deref(spec.AutoAssign, true) || ptr.Deref(spec.Allocation, v1.AllocationOnRequest) != v1.AllocationAutomatic {
		return nil
	}
	return field.ErrorList{field.Invalid(specPath.Child("allocation"), *spec.Allocation, "may not be Automatic if autoAssign is false")}
}
