package endpoints

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/base"
)

var _ rest.StandardStorage = &REST{}

// shortName is not upstream's ep, which stays with the core group.
const shortName = "pep"

// Storage is what is installed for Endpoints.
type Storage struct {
	Endpoints *REST
}

// NewStorage makes the storage of Endpoints. Their addresses may be in the given
// networks of loopback, and in no others of loopback.
func NewStorage(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, loopback ...netip.Prefix) (Storage, error) {
	endpoints, err := NewREST(scheme, getter, loopback...)
	return Storage{Endpoints: endpoints}, err
}

// REST serves endpoints.
type REST struct {
	base.Store
}

// NewREST returns the store of Endpoints, which have no status.
func NewREST(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, loopback ...netip.Prefix) (*REST, error) {
	strategy := newStrategy(scheme, loopback)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &v1.Endpoints{} },
		NewListFunc:               func() runtime.Object { return &v1.EndpointsList{} },
		DefaultQualifiedResource:  v1.Resource("endpoints"),
		SingularQualifiedResource: v1.Resource("endpoints"),

		CreateStrategy: strategy,
		UpdateStrategy: strategy,
		DeleteStrategy: strategy,

		TableConvertor: TableConvertor,
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter}); err != nil {
		return nil, err
	}
	return &REST{base.Store{Store: store, Names: base.Names{Short: []string{shortName}}}}, nil
}

// Core is the store at the second door.
func (r *REST) Core() *REST {
	return &REST{r.At(base.Door{Group: corev1.GroupName, Names: base.Names{Short: []string{"ep"}}})}
}
