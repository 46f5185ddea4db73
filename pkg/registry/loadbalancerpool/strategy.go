// Package loadbalancerpool is the registry of LoadBalancerPools. The usage in their status
// is computed on every read and never stored. So are the conditions that package claims
// computes for clients.
//
// This package does not check whether addresses that are removed from a pool are held. The
// transaction of the write does, because it sees the claims (package claims).
package loadbalancerpool

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

// strategy follows the strategy of ServiceCIDRs. Upstream has no such kind.
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of LoadBalancerPools. Every read sets the usage.
func Rules(typer runtime.ObjectTyper, usage Usage) generic.Rules {
	main := strategy{generic.NewDefaultStrategy(typer)}
	return generic.Rules{Strategy: main, Status: statusStrategy{main}, Fill: func(obj runtime.Object) { fill(usage, obj) }}
}

func (strategy) NamespaceScoped() bool { return false }

func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFields(fieldpath.NewSet(fieldpath.MakePathOrDie("status")))
}

func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	obj.(*v1.LoadBalancerPool).Status = v1.LoadBalancerPoolStatus{}
}

func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	pool := obj.(*v1.LoadBalancerPool)
	pool.Status = old.(*v1.LoadBalancerPool).Status
	dropComputed(&pool.Status)
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateLoadBalancerPoolCreate(obj.(*v1.LoadBalancerPool))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateLoadBalancerPoolUpdate(obj.(*v1.LoadBalancerPool), old.(*v1.LoadBalancerPool))
}

// statusStrategy follows the status strategy of ServiceCIDRs.
type statusStrategy struct {
	strategy
}

// GetResetFields includes the usage, so that no field manager owns fields that are never
// stored.
func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFields(fieldpath.NewSet(
		fieldpath.MakePathOrDie("metadata"),
		fieldpath.MakePathOrDie("spec"),
		fieldpath.MakePathOrDie("status", "families"),
	).Union(generic.ComputedRangeConditions()))
}

func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	pool, oldPool := obj.(*v1.LoadBalancerPool), old.(*v1.LoadBalancerPool)
	pool.Spec = oldPool.Spec
	metav1.ResetObjectMetaForStatus(&pool.ObjectMeta, &oldPool.ObjectMeta)
	dropComputed(&pool.Status)
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateLoadBalancerPoolStatusUpdate(obj.(*v1.LoadBalancerPool), old.(*v1.LoadBalancerPool))
}

func dropComputed(status *v1.LoadBalancerPoolStatus) {
	status.Families, status.Conditions = nil, v1.StoredRangeConditions(status.Conditions)
}
