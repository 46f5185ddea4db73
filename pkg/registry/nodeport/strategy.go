// Package nodeport is the registry of NodePorts, the claims on ports of every node. Clients make reservations
// here. What Services hold is written by their own transactions, past this package, and
// protected by the guard of package claims.
package nodeport

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
	"github.com/portolan-dev/portolan/pkg/registry/claim"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var (
	_ rest.RESTCreateStrategy = strategy{}
	_ rest.RESTUpdateStrategy = strategy{}
	_ rest.RESTDeleteStrategy = strategy{}
)

// strategy follows that of IPAddresses; upstream has no such kind.
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of NodePorts.
func Rules(typer runtime.ObjectTyper) generic.Rules {
	return generic.Rules{Strategy: strategy{generic.DefaultStrategy{ObjectTyper: typer, NameGenerator: claim.NoNameGenerator{}}}}
}

func (strategy) NamespaceScoped() bool { return false }

func (strategy) PrepareForCreate(context.Context, runtime.Object) {}

func (strategy) PrepareForUpdate(ctx context.Context, object, old runtime.Object) {
	claim.KeepHolder(ctx, object.(*v1.NodePort).Spec.ParentRef, old.(*v1.NodePort).Spec.ParentRef)
}

func (strategy) Validate(_ context.Context, object runtime.Object) field.ErrorList {
	return validation.ValidateNodePortCreate(object.(*v1.NodePort))
}

func (strategy) ValidateUpdate(_ context.Context, object, old runtime.Object) field.ErrorList {
	return validation.ValidateNodePortUpdate(object.(*v1.NodePort), old.(*v1.NodePort))
}
