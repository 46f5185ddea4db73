// Package servicecidr is the registry of ServiceCIDRs. The usage in their status is
// computed on every read and never stored. So is the condition Ready, unless a client
// has set it, and so are the conditions that package claims computes for clients.
//
// This package does not check whether addresses of a deleted range are held. The
// transaction of the write does, because it sees the claims (package claims).
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
	"github.com/portolan-dev/portolan/pkg/apigroup"
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

// upstreamVersion is the version in a core API group that serves the store too.
const upstreamVersion = "networking.k8s.io/v1"

// strategy follows upstream's serviceCIDRStrategy
// (pkg/registry/networking/servicecidr).
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of ServiceCIDRs. Every read sets the usage.
func Rules(typer runtime.ObjectTyper, usage Usage) generic.Rules {
	main := strategy{generic.NewDefaultStrategy(typer)}
	return generic.Rules{Strategy: main, Status: statusStrategy{main}, Fill: func(obj runtime.Object) { fill(usage, obj) }}
}

func (strategy) NamespaceScoped() bool { return false }

func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFields(fieldpath.NewSet(fieldpath.MakePathOrDie("status")), upstreamVersion)
}

func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	obj.(*v1.ServiceCIDR).Status = v1.ServiceCIDRStatus{}
}

// PrepareForUpdate keeps the fields that clients of the core API group do not see.
func (strategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	cidr, oldCIDR := obj.(*v1.ServiceCIDR), old.(*v1.ServiceCIDR)
	cidr.Status = oldCIDR.Status
	dropComputed(&cidr.Status)
	if apigroup.IsCore(ctx) {
		cidrs := cidr.Spec.CIDRs
		cidr.Spec = *oldCIDR.Spec.DeepCopy()
		cidr.Spec.CIDRs = cidrs
	}
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateServiceCIDRCreate(obj.(*v1.ServiceCIDR))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateServiceCIDRUpdate(obj.(*v1.ServiceCIDR), old.(*v1.ServiceCIDR))
}

// statusStrategy follows upstream's serviceCIDRStatusStrategy.
type statusStrategy struct {
	strategy
}

// GetResetFields adds the usage to the fields that upstream resets, so that no field
// manager owns fields that are never stored.
func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFields(fieldpath.NewSet(
		fieldpath.MakePathOrDie("metadata"),
		fieldpath.MakePathOrDie("spec"),
		fieldpath.MakePathOrDie("status", "cidrs"),
	).Union(generic.ComputedRangeConditions()), upstreamVersion)
}

func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	cidr, oldCIDR := obj.(*v1.ServiceCIDR), old.(*v1.ServiceCIDR)
	cidr.Spec = oldCIDR.Spec
	metav1.ResetObjectMetaForStatus(&cidr.ObjectMeta, &oldCIDR.ObjectMeta)
	dropComputed(&cidr.Status)
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateServiceCIDRStatusUpdate(obj.(*v1.ServiceCIDR), old.(*v1.ServiceCIDR))
}

func dropComputed(status *v1.ServiceCIDRStatus) {
	status.CIDRs, status.Conditions = nil, v1.StoredRangeConditions(status.Conditions)
}
