// Package endpointslice is the registry of EndpointSlices. It stores them as written: it
// does not sort or merge them. Like upstream's API, it leaves that to controllers.
package endpointslice

import (
	"context"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
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

// strategy follows upstream's endpointSliceStrategy
// (pkg/registry/discovery/endpointslice).
type strategy struct {
	generic.DefaultStrategy
	// loopback lists the loopback networks whose addresses are valid.
	loopback []netip.Prefix
}

// Rules returns the rules of EndpointSlices. Addresses in the given loopback networks
// are valid; other loopback addresses are not.
func Rules(typer runtime.ObjectTyper, loopback []netip.Prefix) generic.Rules {
	return generic.Rules{Strategy: strategy{DefaultStrategy: generic.NewDefaultStrategy(typer), loopback: loopback}}
}

func (strategy) NamespaceScoped() bool { return true }

func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	slice := obj.(*v1.EndpointSlice)
	slice.Generation = 1
	dropTopology(slice, nil)
}

// PrepareForUpdate increments the generation also when labels change, because a label
// names the Service of the slice.
func (strategy) PrepareForUpdate(_ context.Context, obj, oldObject runtime.Object) {
	slice, old := obj.(*v1.EndpointSlice), oldObject.(*v1.EndpointSlice)
	sameEndpoints := apiequality.Semantic.DeepEqual(slice.Endpoints, old.Endpoints)
	same := sameEndpoints && slice.AddressType == old.AddressType &&
		apiequality.Semantic.DeepEqual(slice.Ports, old.Ports) && apiequality.Semantic.DeepEqual(slice.Labels, old.Labels)
	if !same {
		slice.Generation = old.Generation + 1
	}
	if !sameEndpoints {
		dropTopology(slice, old)
	}
}

// dropTopology clears deprecatedTopology, which is read-only in v1. If the old slice has
// a node's name there and the client sends it back, the name moves to nodeName, so that
// the update does not lose it.
func dropTopology(slice, old *v1.EndpointSlice) {
	known := sets.New[string]()
	if old != nil {
		for i := range old.Endpoints {
			known.Insert(old.Endpoints[i].DeprecatedTopology[corev1.LabelHostname])
		}
	}
	for i := range slice.Endpoints {
		endpoint := &slice.Endpoints[i]
		node, found := endpoint.DeprecatedTopology[corev1.LabelHostname]
		if found && endpoint.NodeName == nil && known.Has(node) && len(utilvalidation.IsDNS1123Subdomain(node)) == 0 {
			endpoint.NodeName = &node
		}
		endpoint.DeprecatedTopology = nil
	}
}

func (s strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateEndpointSliceCreate(obj.(*v1.EndpointSlice), s.loopback...)
}

func (s strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateEndpointSliceUpdate(obj.(*v1.EndpointSlice), old.(*v1.EndpointSlice), s.loopback...)
}

func (strategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return validation.EndpointSliceCreateWarnings(obj.(*v1.EndpointSlice))
}

func (strategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	return validation.EndpointSliceWarnings(obj.(*v1.EndpointSlice))
}
