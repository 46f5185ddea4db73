package endpointslice

import (
	"net/netip"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/base"
)

var _ rest.StandardStorage = &REST{}

// Storage is what is installed for EndpointSlices.
type Storage struct {
	EndpointSlice *REST
}

// NewStorage makes the storage of EndpointSlices. Their addresses may be in the given
// networks of loopback, and in no others of loopback.
func NewStorage(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, loopback ...netip.Prefix) (Storage, error) {
	slices, err := NewREST(scheme, getter, loopback...)
	return Storage{EndpointSlice: slices}, err
}

// REST serves endpointslices. They have no short name, as upstream's have none.
type REST struct {
	base.Store
}

// NewREST returns the store of EndpointSlices, which have no status.
func NewREST(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, loopback ...netip.Prefix) (*REST, error) {
	strategy := newStrategy(scheme, loopback)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &v1.EndpointSlice{} },
		NewListFunc:               func() runtime.Object { return &v1.EndpointSliceList{} },
		DefaultQualifiedResource:  v1.Resource("endpointslices"),
		SingularQualifiedResource: v1.Resource("endpointslice"),

		CreateStrategy: strategy,
		UpdateStrategy: strategy,
		DeleteStrategy: strategy,

		TableConvertor: TableConvertor,
	}
	options := &generic.StoreOptions{RESTOptions: getter, AttrFunc: attributes, Indexers: indexers()}
	if err := store.CompleteWithOptions(options); err != nil {
		return nil, err
	}
	return &REST{base.Store{Store: store}}, nil
}

// Core is the store at the second door.
func (r *REST) Core() *REST { return &REST{r.At(base.Door{Group: discoveryv1.GroupName})} }
