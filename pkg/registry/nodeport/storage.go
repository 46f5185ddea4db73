package nodeport

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/base"
)

var _ rest.StandardStorage = &REST{}

// Storage is what is installed for NodePorts.
type Storage struct {
	NodePort *REST
}

// NewStorage makes the storage of NodePorts. The getter's decorator must put
// claim.Guard around it.
func NewStorage(scheme *runtime.Scheme, getter generic.RESTOptionsGetter) (Storage, error) {
	ports, err := NewREST(scheme, getter)
	return Storage{NodePort: ports}, err
}

// REST serves nodeports.
type REST struct {
	base.Store
}

// NewREST returns the store of NodePorts, which have no status.
func NewREST(scheme *runtime.Scheme, getter generic.RESTOptionsGetter) (*REST, error) {
	strategy := newStrategy(scheme)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &v1.NodePort{} },
		NewListFunc:               func() runtime.Object { return &v1.NodePortList{} },
		DefaultQualifiedResource:  v1.Resource("nodeports"),
		SingularQualifiedResource: v1.Resource("nodeport"),

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
