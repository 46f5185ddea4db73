// Package namespace is the registry of Namespaces. A deleted Namespace stays in phase
// Terminating until spec.finalizers is empty. Every Namespace has the finalizer
// "kubernetes"; package namespaces deletes the content and then removes it.
package namespace

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apigeneric "k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/portolan-dev/portolan/apis/core"
	"github.com/portolan-dev/portolan/apis/core/validation"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var (
	_ rest.RESTCreateStrategy  = strategy{}
	_ rest.RESTUpdateStrategy  = strategy{}
	_ rest.RESTDeleteStrategy  = strategy{}
	_ rest.ResetFieldsStrategy = strategy{}
)

// strategy follows upstream's namespaceStrategy (pkg/registry/core/namespace).
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of Namespaces.
func Rules(typer runtime.ObjectTyper) generic.Rules {
	main := strategy{generic.NewDefaultStrategy(typer)}
	return generic.Rules{Strategy: main, Status: statusStrategy{main}}
}

func (strategy) NamespaceScoped() bool { return false }

func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetCoreFields(fieldpath.MakePathOrDie("status"))
}

// PrepareForCreate adds the finalizer "kubernetes". It is not a default, because a
// default would come back after its removal.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	namespace := obj.(*corev1.Namespace)
	namespace.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(namespace.Spec.Finalizers, corev1.FinalizerKubernetes) {
		namespace.Spec.Finalizers = append(namespace.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	namespace, oldNamespace := obj.(*corev1.Namespace), old.(*corev1.Namespace)
	namespace.Spec.Finalizers = oldNamespace.Spec.Finalizers
	namespace.Status = oldNamespace.Status
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateNamespace(obj.(*corev1.Namespace))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateNamespaceUpdate(obj.(*corev1.Namespace), old.(*corev1.Namespace))
}

// Canonicalize labels a Namespace whose name comes from generateName: when
// defaults were set it had none.
func (strategy) Canonicalize(obj runtime.Object) { core.LabelNamespace(obj.(*corev1.Namespace)) }

// statusStrategy follows upstream's namespaceStatusStrategy.
type statusStrategy struct {
	strategy
}

func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetCoreFields(fieldpath.MakePathOrDie("spec"))
}

func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.Namespace).Spec = old.(*corev1.Namespace).Spec
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateNamespaceStatusUpdate(obj.(*corev1.Namespace), old.(*corev1.Namespace))
}

// finalizeStrategy follows upstream's namespaceFinalizeStrategy.
type finalizeStrategy struct {
	strategy
}

func (finalizeStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.Namespace).Status = old.(*corev1.Namespace).Status
}

func (finalizeStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateNamespaceFinalizeUpdate(obj.(*corev1.Namespace), old.(*corev1.Namespace))
}

// Attributes returns the labels and fields that select Namespaces.
func Attributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	namespace, ok := obj.(*corev1.Namespace)
	if !ok {
		return nil, nil, fmt.Errorf("not a Namespace: %T", obj)
	}
	set := apigeneric.ObjectMetaFieldsSet(&namespace.ObjectMeta, false)
	set["status.phase"] = string(namespace.Status.Phase)
	return namespace.Labels, set, nil
}
