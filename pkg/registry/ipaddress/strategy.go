// Package ipaddress is the registry of IPAddresses, the claims on addresses. Clients
// make reservations here. The transactions of Services write the claims that they hold,
// without this package, and the guard in package claims protects those.
package ipaddress

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
	"github.com/portolan-dev/portolan/pkg/apigroup"
	"github.com/portolan-dev/portolan/pkg/registry/claim"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var (
	_ rest.RESTCreateStrategy = strategy{}
	_ rest.RESTUpdateStrategy = strategy{}
	_ rest.RESTDeleteStrategy = strategy{}
)

// strategy follows upstream's ipAddressStrategy
// (pkg/registry/networking/ipaddress).
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of IPAddresses.
func Rules(typer runtime.ObjectTyper) generic.Rules {
	return generic.Rules{Strategy: strategy{generic.DefaultStrategy{ObjectTyper: typer, NameGenerator: claim.NoNameGenerator{}}}}
}

func (strategy) NamespaceScoped() bool { return false }

func (strategy) PrepareForCreate(context.Context, runtime.Object) {}

func (strategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	address, oldAddress := obj.(*v1.IPAddress), old.(*v1.IPAddress)
	claim.KeepHolder(ctx, address.Spec.ParentRef, oldAddress.Spec.ParentRef)
	if apigroup.IsCore(ctx) {
		// Clients of the core API group do not see it.
		address.Spec.ExpirationTimestamp = oldAddress.Spec.ExpirationTimestamp
	}
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateIPAddressCreate(obj.(*v1.IPAddress), time.Now())
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateIPAddressUpdate(obj.(*v1.IPAddress), old.(*v1.IPAddress))
}
