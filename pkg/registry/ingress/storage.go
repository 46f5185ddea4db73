package ingress

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/pkg/registry/base"
	"github.com/portolan-dev/portolan/pkg/registry/status"
)

var _ rest.StandardStorage = &REST{}

// Storage is what is installed for Ingresses.
type Storage struct {
	Ingress *REST
	Status  *status.REST
}

// REST serves ingresses.
type REST struct {
	base.Store
}

// NewStorage makes the storage of Ingresses.
func NewStorage(scheme *runtime.Scheme, getter generic.RESTOptionsGetter) (Storage, error) {
	main := newStrategy(scheme)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &networkingv1.Ingress{} },
		NewListFunc:               func() runtime.Object { return &networkingv1.IngressList{} },
		DefaultQualifiedResource:  networkingv1.Resource("ingresses"),
		SingularQualifiedResource: networkingv1.Resource("ingress"),

		CreateStrategy:      main,
		UpdateStrategy:      main,
		DeleteStrategy:      main,
		ResetFieldsStrategy: main,

		TableConvertor: TableConvertor,
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter}); err != nil {
		return Storage{}, err
	}
	names := base.Names{Short: []string{"ing"}}
	return Storage{Ingress: &REST{base.Store{Store: store, Names: names}}, Status: status.NewREST(store, statusStrategy{main})}, nil
}
