package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateObjectMeta validates an object's metadata as apimachinery's function of the
// same name does. It also checks finalizers with ValidateFinalizerKnown, as upstream's
// pkg/apis/core/validation does.
func ValidateObjectMeta(meta *metav1.ObjectMeta, namespaced bool, name apivalidation.ValidateNameFunc, path *field.Path) field.ErrorList {
	return append(apivalidation.ValidateObjectMeta(meta, namespaced, name, path), validateFinalizers(meta, path)...)
}

// ValidateObjectMetaUpdate validates an update of an object's metadata, finalizers
// included, as ValidateObjectMeta does.
func ValidateObjectMetaUpdate(meta, old *metav1.ObjectMeta, path *field.Path) field.ErrorList {
	return append(apivalidation.ValidateObjectMetaUpdate(meta, old, path), validateFinalizers(meta, path)...)
}

func validateFinalizers(meta *metav1.ObjectMeta, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, name := range meta.Finalizers {
		errs = append(errs, ValidateFinalizerKnown(name, path.Child("finalizers").Index(i))...)
	}
	return errs
}

// ValidateFinalizerKnown wants the name of a finalizer to be qualified, unless it is one
// of Kubernetes' own.
func ValidateFinalizerKnown(name string, path *field.Path) field.ErrorList {
	if strings.Contains(name, "/") {
		return nil
	}
	switch name {
	case string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents:
		return nil
	default:
		return field.ErrorList{field.Invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified")}
	}
}
