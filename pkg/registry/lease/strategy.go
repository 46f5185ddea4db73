// Package lease is the registry of Leases, with which processes elect a leader.
package lease

import (
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/apis/core/validation"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var (
	_ rest.RESTCreateStrategy = strategy{}
	_ rest.RESTUpdateStrategy = strategy{}
	_ rest.RESTDeleteStrategy = strategy{}
)

// Resource is the resource of Leases. Upstream's coordination/v1 has no function
// Resource.
var Resource = schema.GroupResource{Group: coordinationv1.GroupName, Resource: "leases"}

// strategy follows upstream's leaseStrategy (pkg/registry/coordination/lease).
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of Leases.
func Rules(typer runtime.ObjectTyper) generic.Rules {
	return generic.Rules{Strategy: strategy{generic.NewDefaultStrategy(typer)}}
}

func (strategy) NamespaceScoped() bool { return true }

// PrepareForCreate clears the fields of coordinated leader election, as upstream does
// when that feature is off. Portolan does not run it.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) { dropElection(obj) }

func (strategy) PrepareForUpdate(_ context.Context, obj, _ runtime.Object) { dropElection(obj) }

func dropElection(obj runtime.Object) {
	spec := &obj.(*coordinationv1.Lease).Spec
	spec.Strategy, spec.PreferredHolder = nil, nil
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateLease(obj.(*coordinationv1.Lease))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateLeaseUpdate(obj.(*coordinationv1.Lease), old.(*coordinationv1.Lease))
}

func (strategy) AllowCreateOnUpdate(context.Context) bool { return true }

func (strategy) AllowUnconditionalUpdate(context.Context) bool { return false }
