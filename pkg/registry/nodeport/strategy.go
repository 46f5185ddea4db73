// Package nodeport is the registry of NodePorts, the claims on ports of every node.
// Clients make reservations here. The transactions of Services write the claims that
// they hold, without this package, and the guard in package claims protects those.
package nodeport

import (
	"context"
	"time"

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

// strategy follows the strategy of IPAddresses. Upstream has no such kind.
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of NodePorts.
func Rules(typer runtime.ObjectTyper) generic.Rules {
	return generic.Rules{Strategy: strategy{generic.DefaultStrategy{ObjectTyper: typer, NameGenerator: claim.NoNameGenerator{}}}}
}

func (strategy) NamespaceScoped() bool { return false }

func (strategy) PrepareForCreate(context.Context, runtime.Object) {}

func (strategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	claim.KeepHolder(ctx, obj.(*v1.NodePort).Spec.ParentRef, old.(*v1.NodePort).Spec.ParentRef)
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateNodePortCreate(obj.(*v1.NodePort), time.Now())
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateNodePortUpdate(obj.(*v1.NodePort), old.(*v1.NodePort))
}
