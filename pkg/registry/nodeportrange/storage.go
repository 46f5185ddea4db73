package nodeportrange

import (
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

// Storage is what is installed for NodePortRanges.
type Storage struct {
	NodePortRange *REST
	Status        *status.REST
}

// NewStorage makes the storage of NodePortRanges.
func NewStorage(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, usage Usage) (Storage, error) {
	ranges, statusREST, err := NewREST(scheme, getter, usage)
	return Storage{NodePortRange: ranges, Status: statusREST}, err
}

// REST serves nodeportranges.
type REST struct {
	base.Store
	undecorated *genericregistry.Store
}

// NewREST returns the store and the status store of NodePortRanges. usage is
// asked on every read.
func NewREST(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, usage Usage) (*REST, *status.REST, error) {
	main := newStrategy(scheme)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &v1.NodePortRange{} },
		NewListFunc:               func() runtime.Object { return &v1.NodePortRangeList{} },
		DefaultQualifiedResource:  v1.Resource("nodeportranges"),
		SingularQualifiedResource: v1.Resource("nodeportrange"),

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
