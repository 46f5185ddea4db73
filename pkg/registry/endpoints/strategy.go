// Package endpoints is the registry of Endpoints. It stores them as written: it does not
// sort, merge or truncate them. Like upstream's API, it leaves that to controllers.
package endpoints

import (
	"context"
	"net/netip"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var (
	_ rest.RESTCreateStrategy = strategy{}
	_ rest.RESTUpdateStrategy = strategy{}
	_ rest.RESTDeleteStrategy = strategy{}
)

// strategy follows upstream's endpointsStrategy (pkg/registry/core/endpoint).
type strategy struct {
	generic.DefaultStrategy
	// loopback lists the loopback networks whose addresses are valid.
	loopback []netip.Prefix
}

// Rules returns the rules of Endpoints. Addresses in the given loopback networks are
// valid; other loopback addresses are not.
func Rules(typer runtime.ObjectTyper, loopback []netip.Prefix) generic.Rules {
	return generic.Rules{Strategy: strategy{DefaultStrategy: generic.NewDefaultStrategy(typer), loopback: loopback}}
}

func (strategy) NamespaceScoped() bool { return true }

func (strategy) PrepareForCreate(context.Context, runtime.Object) {}

func (strategy) PrepareForUpdate(_ context.Context, _, _ runtime.Object) {}

func (s strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateEndpointsCreate(obj.(*v1.Endpoints), s.loopback...)
}

func (s strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateEndpointsUpdate(obj.(*v1.Endpoints), old.(*v1.Endpoints), s.loopback...)
}

func (strategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return validation.EndpointsWarnings(obj.(*v1.Endpoints))
}

func (strategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	return validation.EndpointsWarnings(obj.(*v1.Endpoints))
}

func (strategy) AllowCreateOnUpdate(context.Context) bool { return true }
