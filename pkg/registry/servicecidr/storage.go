package servicecidr

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/base"
	"github.com/portolan-dev/portolan/pkg/registry/status"
)

var (
	_ rest.StandardStorage = &REST{}
)

// Storage is what is installed for ServiceCIDRs.
type Storage struct {
	ServiceCIDR *REST
	Status      *status.REST
}

// NewStorage makes the storage of ServiceCIDRs.
func NewStorage(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, usage Usage) (Storage, error) {
	cidrs, statusREST, err := NewREST(scheme, getter, usage)
	return Storage{ServiceCIDR: cidrs, Status: statusREST}, err
}

// REST serves servicecidrs.
type REST struct {
	base.Store
	undecorated *genericregistry.Store
}

// NewREST returns the store and the status store of ServiceCIDRs. usage is
// asked on every read.
func NewREST(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, usage Usage) (*REST, *status.REST, error) {
	main := newStrategy(scheme)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &v1.ServiceCIDR{} },
		NewListFunc:               func() runtime.Object { return &v1.ServiceCIDRList{} },
		DefaultQualifiedResource:  v1.Resource("servicecidrs"),
		SingularQualifiedResource: v1.Resource("servicecidr"),

		CreateStrategy:      main,
		UpdateStrategy:      main,
		DeleteStrategy:      main,
		ResetFieldsStrategy: main,

		Decorator:      func(object runtime.Object) { fill(usage, object) },
		TableConvertor: TableConvertor,
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter}); err != nil {
		return nil, nil, err
	}
	undecorated := *store
	undecorated.Decorator = nil
	return &REST{base.Store{Store: store}, &undecorated}, status.NewREST(store, statusStrategy{main}), nil
}

// Core is the storage at the second door.
func (s Storage) Core() Storage {
	door := base.Door{Group: networkingv1.GroupName, Table: CoreTableConvertor}
	return Storage{ServiceCIDR: &REST{s.ServiceCIDR.At(door), s.ServiceCIDR.undecorated}, Status: s.Status.At(door)}
}
