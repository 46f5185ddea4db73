package registry

import (
	"k8s.io/apiserver/pkg/registry/rest"
	apistorage "k8s.io/apiserver/pkg/storage"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/mirrored"
	"github.com/portolan-dev/portolan/pkg/storage"
)

// The kinds of which there are copies of a cluster's objects.
var (
	mirroredServices  = mirrored.Kind{Resource: "services", Kind: "Service"}
	mirroredEndpoints = mirrored.Kind{Resource: "endpoints", Kind: "Endpoints"}
	mirroredSlices    = mirrored.Kind{Resource: "endpointslices", Kind: "EndpointSlice"}
)

// mirror returns the subresource with which copies are written.
func mirror(kind mirrored.Kind) map[string]func(*Storage, Inputs) rest.Storage {
	return map[string]func(*Storage, Inputs) rest.Storage{"mirror": func(s *Storage, in Inputs) rest.Storage {
		return mirrored.NewREST(kind, s.Store(v1.Resource(kind.Resource)).Store, in.Decoder)
	}}
}

func mirrorServices() map[string]func(*Storage, Inputs) rest.Storage {
	subresources := mirror(mirroredServices)
	subresources["adopt"] = func(s *Storage, _ Inputs) rest.Storage {
		store := func(kind mirrored.Kind) *mirrored.Store { return s.Store(v1.Resource(kind.Resource)).Store }
		return mirrored.NewAdoptREST(store(mirroredServices), store(mirroredEndpoints), store(mirroredSlices))
	}
	return subresources
}

// withCopies returns a layer that protects copies, above the kind's own layer, which may be
// nil.
func withCopies(kind mirrored.Kind, own func(Backend, *Storage) (storage.Layer, error)) func(Backend, *Storage) (storage.Layer, error) {
	protect := mirrored.ProtectCopies(kind)
	if own == nil {
		return func(Backend, *Storage) (storage.Layer, error) { return protect, nil }
	}
	return func(b Backend, s *Storage) (storage.Layer, error) {
		layer, err := own(b, s)
		if err != nil {
			return nil, err
		}
		return func(inner apistorage.Interface) apistorage.Interface { return protect(layer(inner)) }, nil
	}
}
