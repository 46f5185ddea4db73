// Package validation validates the kinds that only the core API groups serve. Rules,
// field paths and texts are those of upstream's pkg/apis/core/validation. A function that
// has only some of upstream's rules says which are missing.
package validation

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

var metadataPath = field.NewPath("metadata")

// ValidateNamespace validates a Namespace.
func ValidateNamespace(namespace *corev1.Namespace) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMeta(&namespace.ObjectMeta, false, apivalidation.ValidateNamespaceName, metadataPath)
	for _, finalizer := range namespace.Spec.Finalizers {
		errs = append(errs, validateFinalizer(string(finalizer), field.NewPath("spec", "finalizers"))...)
	}
	return portolanvalidation.Bounded(errs)
}

// ValidateNamespaceUpdate validates an update of a Namespace.
func ValidateNamespaceUpdate(namespace, old *corev1.Namespace) field.ErrorList {
	return portolanvalidation.Bounded(portolanvalidation.ValidateObjectMetaUpdate(&namespace.ObjectMeta, &old.ObjectMeta, metadataPath))
}

// ValidateNamespaceStatusUpdate validates an update of a Namespace's status. The path
// with a capital letter is upstream's.
func ValidateNamespaceStatusUpdate(namespace, old *corev1.Namespace) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMetaUpdate(&namespace.ObjectMeta, &old.ObjectMeta, metadataPath)
	path := field.NewPath("status", "Phase")
	switch {
	case namespace.DeletionTimestamp.IsZero() && namespace.Status.Phase != corev1.NamespaceActive:
		errs = append(errs, field.Invalid(path, namespace.Status.Phase, "may only be 'Active' if `deletionTimestamp` is empty"))
	case !namespace.DeletionTimestamp.IsZero() && namespace.Status.Phase != corev1.NamespaceTerminating:
		errs = append(errs, field.Invalid(path, namespace.Status.Phase, "may only be 'Terminating' if `deletionTimestamp` is not empty"))
	}
	return portolanvalidation.Bounded(errs)
}

// ValidateNamespaceFinalizeUpdate validates an update of a Namespace's spec.finalizers.
func ValidateNamespaceFinalizeUpdate(namespace, old *corev1.Namespace) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMetaUpdate(&namespace.ObjectMeta, &old.ObjectMeta, metadataPath)
	for i, finalizer := range namespace.Spec.Finalizers {
		errs = append(errs, validateFinalizer(string(finalizer), field.NewPath("spec", "finalizers").Index(i))...)
	}
	return portolanvalidation.Bounded(errs)
}

func validateFinalizer(name string, path *field.Path) field.ErrorList {
	return append(apivalidation.ValidateFinalizerName(name, path), portolanvalidation.ValidateFinalizerKnown(name, path)...)
}
