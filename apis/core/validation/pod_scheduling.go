package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

var (
	gatesPath       = specPath.Child("schedulingGates")
	tolerationsPath = specPath.Child("tolerations")

	tolerationOperators = []corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists}
	numericOperators    = []corev1.TolerationOperator{corev1.TolerationOpLt, corev1.TolerationOpGt}
	taintEffects        = []corev1.TaintEffect{
		corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute,
	}
)

func validateSchedulingGates(gates []corev1.PodSchedulingGate) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i, gate := range gates {
		errs = append(errs, portolanvalidation.Invalid(gatesPath.Index(i), gate.Name, utilvalidation.IsQualifiedName(gate.Name))...)
		if names.Has(gate.Name) {
			errs = append(errs, field.Duplicate(gatesPath.Index(i), gate.Name))
		}
		names.Insert(gate.Name)
	}
	return errs
}

// validateGatesUpdate allows to remove gates. Of several gates with one name, the last one is
// reported.
func validateGatesUpdate(gates, old []corev1.PodSchedulingGate) field.ErrorList {
	var errs field.ErrorList
	stored, last := sets.New(old...), map[corev1.PodSchedulingGate]int{}
	for i, gate := range gates {
		last[gate] = i
	}
	for i, gate := range gates {
		if !stored.Has(gate) && last[gate] == i {
			errs = append(errs, field.Forbidden(gatesPath.Index(i).Child("name"),
				fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", gate.Name)))
		}
	}
	return errs
}

func validateTolerations(tolerations []corev1.Toleration) field.ErrorList {
	var errs field.ErrorList
	for i, toleration := range tolerations {
		path := tolerationsPath.Index(i)
		operator := path.Child("operator")
		if toleration.Key != "" {
			errs = append(errs, metav1validation.ValidateLabelName(toleration.Key, path.Child("key"))...)
		} else if toleration.Operator != corev1.TolerationOpExists {
			errs = append(errs, field.Invalid(operator, toleration.Operator,
				"operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
		}
		if toleration.TolerationSeconds != nil && toleration.Effect != corev1.TaintEffectNoExecute {
			errs = append(errs, field.Invalid(path.Child("effect"), toleration.Effect,
				"effect must be 'NoExecute' when `tolerationSeconds` is set"))
		}
		switch toleration.Operator {
		case corev1.TolerationOpEqual, "":
			if messages := utilvalidation.IsValidLabelValue(toleration.Value); len(messages) > 0 {
				errs = append(errs, field.Invalid(operator, toleration.Value, strings.Join(messages, ";")))
			}
		case corev1.TolerationOpExists:
			if toleration.Value != "" {
				errs = append(errs, field.Invalid(operator, toleration.Value, "value must be empty when `operator` is 'Exists'"))
			}
		case corev1.TolerationOpLt, corev1.TolerationOpGt:
			// Kubernetes' feature gate TaintTolerationComparisonOperators is off.
			errs = append(errs, field.NotSupported(operator, toleration.Operator, slices.Concat(tolerationOperators, numericOperators)))
		default:
			errs = append(errs, field.NotSupported(operator, toleration.Operator, tolerationOperators))
		}
		if toleration.Effect != "" {
			errs = append(errs, supported(toleration.Effect, taintEffects, path.Child("effect"))...)
		}
	}
	return errs
}

// validateTolerationsUpdate allows to add tolerations, and to change how long they last.
func validateTolerationsUpdate(tolerations, old []corev1.Toleration) field.ErrorList {
	given := sets.New[corev1.Toleration]()
	for _, toleration := range tolerations {
		toleration.TolerationSeconds = nil
		given.Insert(toleration)
	}
	for _, toleration := range old {
		toleration.TolerationSeconds = nil
		if !given.Has(toleration) {
			return field.ErrorList{field.Forbidden(tolerationsPath, "existing toleration can not be modified except its tolerationSeconds")}
		}
	}
	return nil
}
