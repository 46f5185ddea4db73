package ipaddress

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/base"
)

var _ rest.StandardStorage = &REST{}

// Storage is what is installed for IPAddresses.
type Storage struct {
	IPAddress *REST
}

// NewStorage makes the storage of IPAddresses. The getter's decorator must put
// claim.Guard around it.
func NewStorage(scheme *runtime.Scheme, getter generic.RESTOptionsGetter) (Storage, error) {
	addresses, err := NewREST(scheme, getter)
	return Storage{IPAddress: addresses}, err
}

// REST serves ipaddresses.
type REST struct {
	base.Store
}

// NewREST returns the store of IPAddresses, which have no status.
func NewREST(scheme *runtime.Scheme, getter generic.RESTOptionsGetter) (*REST, error) {
	strategy := newStrategy(scheme)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &v1.IPAddress{} },
		NewListFunc:               func() runtime.Object { return &v1.IPAddressList{} },
		DefaultQualifiedResource:  v1.Resource("ipaddresses"),
		SingularQualifiedResource: v1.Resource("ipaddress"),

		CreateStrategy: strategy,
		UpdateStrategy: strategy,
		DeleteStrategy: strategy,

		TableConvertor: TableConvertor,
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter}); err != nil {
		return nil, err
	}
	return &REST{base.Store{Store: store}}, nil
}

// Core is the store at the second door.
func (r *REST) Core() *REST {
	return &REST{r.At(base.Door{Group: networkingv1.GroupName, Names: base.Names{Short: []string{"ip"}}, Table: CoreTableConvertor})}
}
