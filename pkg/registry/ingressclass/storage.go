package ingressclass

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/pkg/registry/base"
)

var _ rest.StandardStorage = &REST{}

// Storage is what is installed for IngressClasses.
type Storage struct {
	IngressClass *REST
}

// REST serves ingressclasses.
type REST struct {
	base.Store
}

// NewStorage makes the storage of IngressClasses, which have no status.
func NewStorage(scheme *runtime.Scheme, getter generic.RESTOptionsGetter) (Storage, error) {
	strategy := newStrategy(scheme)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &networkingv1.IngressClass{} },
		NewListFunc:               func() runtime.Object { return &networkingv1.IngressClassList{} },
		DefaultQualifiedResource:  networkingv1.Resource("ingressclasses"),
		SingularQualifiedResource: networkingv1.Resource("ingressclass"),

		CreateStrategy: strategy,
		UpdateStrategy: strategy,
		DeleteStrategy: strategy,

		TableConvertor: TableConvertor,
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter}); err != nil {
		return Storage{}, err
	}
	return Storage{IngressClass: &REST{base.Store{Store: store}}}, nil
}
