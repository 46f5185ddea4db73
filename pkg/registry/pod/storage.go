package pod

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

// Storage is what is installed for Pods.
type Storage struct {
	Pod    *REST
	Status *status.REST
}

// REST serves pods.
type REST struct {
	base.Store
}

// NewStorage makes the storage of Pods.
func NewStorage(scheme *runtime.Scheme, getter generic.RESTOptionsGetter) (Storage, error) {
	main := newStrategy(scheme)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &corev1.Pod{} },
		NewListFunc:               func() runtime.Object { return &corev1.PodList{} },
		DefaultQualifiedResource:  corev1.Resource("pods"),
		SingularQualifiedResource: corev1.Resource("pod"),

		CreateStrategy:      main,
		UpdateStrategy:      main,
		DeleteStrategy:      main,
		ResetFieldsStrategy: main,

		ReturnDeletedObject: true,
		TableConvertor:      TableConvertor,
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter, AttrFunc: attributes}); err != nil {
		return Storage{}, err
	}
	names := base.Names{Short: []string{"po"}, Sets: []string{"all"}}
	return Storage{Pod: &REST{base.Store{Store: store, Names: names}}, Status: status.NewREST(store, statusStrategy{main})}, nil
}
