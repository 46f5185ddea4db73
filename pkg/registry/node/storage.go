package node

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/pkg/registry/base"
	"github.com/portolan-dev/portolan/pkg/registry/status"
)

var _ rest.StandardStorage = &REST{}

// Storage is what is installed for Nodes.
type Storage struct {
	Node   *REST
	Status *status.REST
}

// REST serves nodes.
type REST struct {
	base.Store
}

// NewStorage makes the storage of Nodes.
func NewStorage(scheme *runtime.Scheme, getter generic.RESTOptionsGetter) (Storage, error) {
	main := newStrategy(scheme)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &corev1.Node{} },
		NewListFunc:               func() runtime.Object { return &corev1.NodeList{} },
		DefaultQualifiedResource:  corev1.Resource("nodes"),
		SingularQualifiedResource: corev1.Resource("node"),

		CreateStrategy:      main,
		UpdateStrategy:      main,
		DeleteStrategy:      main,
		ResetFieldsStrategy: main,

		TableConvertor: TableConvertor,
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter, AttrFunc: attributes}); err != nil {
		return Storage{}, err
	}
	names := base.Names{Short: []string{"no"}}
	return Storage{Node: &REST{base.Store{Store: store, Names: names}}, Status: status.NewREST(store, statusStrategy{main})}, nil
}
