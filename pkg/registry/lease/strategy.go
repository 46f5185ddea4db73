// Package lease is the registry of Leases, by which processes agree on which of
// them leads.
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

// Resource is the resource of Leases, which its own API package does not name.
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

// PrepareForCreate drops what is for coordinated leader election, as upstream
// does where that is off: nothing here elects anybody.
func (strategy) PrepareForCreate(_ context.Context, object runtime.Object) { dropElection(object) }

func (strategy) PrepareForUpdate(_ context.Context, object, _ runtime.Object) { dropElection(object) }

func dropElection(object runtime.Object) {
	spec := &object.(*coordinationv1.Lease).Spec
	spec.Strategy, spec.PreferredHolder = nil, nil
}

func (strategy) Validate(_ context.Context, object runtime.Object) field.ErrorList {
	return validation.ValidateLease(object.(*coordinationv1.Lease))
}

func (strategy) ValidateUpdate(_ context.Context, object, old runtime.Object) field.ErrorList {
	return validation.ValidateLeaseUpdate(object.(*coordinationv1.Lease), old.(*coordinationv1.Lease))
}

func (strategy) AllowCreateOnUpdate(context.Context) bool { return true }

func (strategy) AllowUnconditionalUpdate(context.Context) bool { return false }
