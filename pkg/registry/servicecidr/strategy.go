// Package servicecidr is the registry of ServiceCIDRs. How full one is and, unless
// somebody has said otherwise, that it is ready, is worked out whenever the object is
// read and is never stored.
//
// Whether a range may go while addresses of it are held is not decided here but
// in the transaction, which sees the claims.
package servicecidr

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
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

// upstreamVersion is the core version that serves the store too.
const upstreamVersion = "networking.k8s.io/v1"

// strategy follows upstream's serviceCIDRStrategy
// (pkg/registry/networking/servicecidr).
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of ServiceCIDRs. Every read asks usage.
func Rules(typer runtime.ObjectTyper, usage Usage) generic.Rules {
	main := strategy{generic.NewDefaultStrategy(typer)}
	return generic.Rules{Strategy: main, Status: statusStrategy{main}, Fill: func(obj runtime.Object) { fill(usage, obj) }}
}

func (strategy) NamespaceScoped() bool { return false }

func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFields(fieldpath.NewSet(fieldpath.MakePathOrDie("status")), upstreamVersion)
}

func (strategy) PrepareForCreate(_ context.Context, object runtime.Object) {
	object.(*v1.ServiceCIDR).Status = v1.ServiceCIDRStatus{}
}

func (strategy) PrepareForUpdate(_ context.Context, object, old runtime.Object) {
	cidr := object.(*v1.ServiceCIDR)
	cidr.Status = old.(*v1.ServiceCIDR).Status
	cidr.Status.CIDRs = nil
}

func (strategy) Validate(_ context.Context, object runtime.Object) field.ErrorList {
	return validation.ValidateServiceCIDRCreate(object.(*v1.ServiceCIDR))
}

func (strategy) ValidateUpdate(_ context.Context, object, old runtime.Object) field.ErrorList {
	return validation.ValidateServiceCIDRUpdate(object.(*v1.ServiceCIDR), old.(*v1.ServiceCIDR))
}

// statusStrategy follows upstream's serviceCIDRStatusStrategy.
type statusStrategy struct {
	strategy
}

// GetResetFields adds the figures to what upstream resets, so that no applier
// comes to own what is never stored.
func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFields(fieldpath.NewSet(
		fieldpath.MakePathOrDie("metadata"),
		fieldpath.MakePathOrDie("spec"),
		fieldpath.MakePathOrDie("status", "cidrs"),
	), upstreamVersion)
}

func (statusStrategy) PrepareForUpdate(_ context.Context, object, old runtime.Object) {
	cidr, oldCIDR := object.(*v1.ServiceCIDR), old.(*v1.ServiceCIDR)
	cidr.Spec = oldCIDR.Spec
	metav1.ResetObjectMetaForStatus(&cidr.ObjectMeta, &oldCIDR.ObjectMeta)
	cidr.Status.CIDRs = nil
}

func (statusStrategy) ValidateUpdate(_ context.Context, object, old runtime.Object) field.ErrorList {
	return validation.ValidateServiceCIDRStatusUpdate(object.(*v1.ServiceCIDR), old.(*v1.ServiceCIDR))
}
