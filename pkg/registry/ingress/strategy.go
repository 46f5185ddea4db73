// Package ingress is the registry of Ingresses, which route external requests to
// Services. An ingress controller implements them and reports its addresses in their
// status.
package ingress

import (
	"context"
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/portolan-dev/portolan/apis/core/validation"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var (
	_ rest.RESTCreateStrategy  = strategy{}
	_ rest.RESTUpdateStrategy  = strategy{}
	_ rest.RESTDeleteStrategy  = strategy{}
	_ rest.ResetFieldsStrategy = strategy{}
	_ rest.RESTUpdateStrategy  = statusStrategy{}
	_ rest.ResetFieldsStrategy = statusStrategy{}
)

// version is the API version that serves Ingresses.
const version = "networking.k8s.io/v1"

// strategy follows upstream's ingressStrategy (pkg/registry/networking/ingress).
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of Ingresses.
func Rules(typer runtime.ObjectTyper) generic.Rules {
	main := strategy{generic.NewDefaultStrategy(typer)}
	return generic.Rules{Strategy: main, Status: statusStrategy{main}}
}

func (strategy) NamespaceScoped() bool { return true }

func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFieldsOf(version, fieldpath.MakePathOrDie("status"))
}

func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	ingress := obj.(*networkingv1.Ingress)
	ingress.Generation = 1
	ingress.Status = networkingv1.IngressStatus{}
}

func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	ingress, oldIngress := obj.(*networkingv1.Ingress), old.(*networkingv1.Ingress)
	ingress.Status = oldIngress.Status
	if !equality.Semantic.DeepEqual(ingress.Spec, oldIngress.Spec) {
		ingress.Generation = oldIngress.Generation + 1
	}
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateIngressCreate(obj.(*networkingv1.Ingress))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateIngressUpdate(obj.(*networkingv1.Ingress), old.(*networkingv1.Ingress))
}

func (strategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	ingress := obj.(*networkingv1.Ingress)
	if _, annotated := ingress.Annotations[validation.AnnotationIngressClass]; !annotated || ingress.Spec.IngressClassName != nil {
		return nil
	}
	return []string{fmt.Sprintf("annotation %q is deprecated, please use 'spec.ingressClassName' instead", validation.AnnotationIngressClass)}
}

// statusStrategy follows upstream's ingressStatusStrategy.
type statusStrategy struct {
	strategy
}

func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFieldsOf(version, fieldpath.MakePathOrDie("spec"))
}

func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*networkingv1.Ingress).Spec = old.(*networkingv1.Ingress).Spec
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateIngressStatusUpdate(obj.(*networkingv1.Ingress), old.(*networkingv1.Ingress))
}

func (statusStrategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	var warnings []string
	for i, ingress := range obj.(*networkingv1.Ingress).Status.LoadBalancer.Ingress {
		if ingress.IP != "" {
			warnings = append(warnings, utilvalidation.GetWarningsForIP(field.NewPath("status", "loadBalancer", "ingress").Index(i), ingress.IP)...)
		}
	}
	return warnings
}
