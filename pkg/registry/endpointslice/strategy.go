// Package endpointslice is the registry of EndpointSlices. They are stored as
// they were written: not sorted, not merged, as upstream's API does too; that is
// its controllers' job.
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
	// loopback are the networks of loopback that addresses may be in.
	loopback []netip.Prefix
}

// Rules returns the rules of EndpointSlices. Addresses in the given loopback networks
// are valid; other loopback addresses are not.
func Rules(typer runtime.ObjectTyper, loopback []netip.Prefix) generic.Rules {
	return generic.Rules{Strategy: strategy{DefaultStrategy: generic.NewDefaultStrategy(typer), loopback: loopback}}
}

func (strategy) NamespaceScoped() bool { return true }

func (strategy) PrepareForCreate(_ context.Context, object runtime.Object) {
	slice := object.(*v1.EndpointSlice)
	slice.Generation = 1
	dropTopology(slice, nil)
}

// PrepareForUpdate counts a change of labels as one of the generation: the label
// that names the Service says what the slice is for.
func (strategy) PrepareForUpdate(_ context.Context, object, oldObject runtime.Object) {
	slice, old := object.(*v1.EndpointSlice), oldObject.(*v1.EndpointSlice)
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

// dropTopology drops what a client wrote to a field that v1 only reads. Where
// the old slice still had the name of a node there and the client sends it
// along, it becomes the node's name, so that the client's update keeps it.
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

func (s strategy) Validate(_ context.Context, object runtime.Object) field.ErrorList {
	return validation.ValidateEndpointSliceCreate(object.(*v1.EndpointSlice), s.loopback...)
}

func (s strategy) ValidateUpdate(_ context.Context, object, old runtime.Object) field.ErrorList {
	return validation.ValidateEndpointSliceUpdate(object.(*v1.EndpointSlice), old.(*v1.EndpointSlice), s.loopback...)
}

func (strategy) WarningsOnCreate(_ context.Context, object runtime.Object) []string {
	return validation.EndpointSliceCreateWarnings(object.(*v1.EndpointSlice))
}

func (strategy) WarningsOnUpdate(_ context.Context, object, _ runtime.Object) []string {
	return validation.EndpointSliceWarnings(object.(*v1.EndpointSlice))
}
