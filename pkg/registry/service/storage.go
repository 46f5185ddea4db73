package service

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/base"
	"github.com/portolan-dev/portolan/pkg/registry/status"
	"github.com/portolan-dev/portolan/pkg/service"
)

var _ rest.StandardStorage = &REST{}

// shortName is not upstream's svc, which stays with the core group.
const shortName = "psvc"

// all is the set of what "kubectl get all" gets.
const all = "all"

// Families are the IP families of the cluster, the default one first.
type Families func() []corev1.IPFamily

// Storage is what is installed for Services.
type Storage struct {
	Service *REST
	Status  *status.REST
}

// REST serves services.
type REST struct {
	base.Store
}

// NewStorage makes the storage of Services.
func NewStorage(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, families Families) (Storage, error) {
	main := newStrategy(scheme)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &v1.Service{} },
		NewListFunc:               func() runtime.Object { return &v1.ServiceList{} },
		DefaultQualifiedResource:  v1.Resource("services"),
		SingularQualifiedResource: v1.Resource("service"),
		PredicateFunc:             predicate,

		CreateStrategy:      main,
		UpdateStrategy:      main,
		DeleteStrategy:      main,
		ResetFieldsStrategy: main,

		// Upstream answers a DELETE with the Service, not with a Status.
		ReturnDeletedObject: true,
		Decorator:           func(obj runtime.Object) { normalize(obj, families) },
		TableConvertor:      TableConvertor,
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter, AttrFunc: attributes}); err != nil {
		return Storage{}, err
	}
	names := base.Names{Short: []string{shortName}, Sets: []string{all}}
	return Storage{Service: &REST{base.Store{Store: store, Names: names}}, Status: status.NewREST(store, statusStrategy{main})}, nil
}

// Core is the storage at the second door.
func (s Storage) Core() Storage {
	door := base.Door{Group: corev1.GroupName, Names: base.Names{Short: []string{"svc"}, Sets: []string{all}}}
	return Storage{Service: &REST{s.Service.At(door)}, Status: s.Status.At(door)}
}

// BesideCore is the storage where there is a second door, which has the set of
// all: "kubectl delete all" would not find there what it has just deleted.
func (s Storage) BesideCore() Storage {
	store := s.Service.Store
	store.Names.Sets = nil
	return Storage{Service: &REST{store}, Status: s.Status}
}

// normalize brings Services that were stored by older versions into today's
// form; see service.NormalizeOnRead.
func normalize(obj runtime.Object, families Families) {
	switch obj := obj.(type) {
	case *v1.Service:
		if len(obj.Spec.IPFamilies) == 0 {
			service.NormalizeOnRead(obj, families())
		}
	case *v1.ServiceList:
		for i := range obj.Items {
			normalize(&obj.Items[i], families)
		}
	}
}
