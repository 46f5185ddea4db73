package nodeportrange

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

var (
	_ rest.StandardStorage     = &REST{}
	_ rest.Patcher             = &StatusREST{}
	_ rest.ResetFieldsStrategy = &StatusREST{}
	_ rest.TableConvertor      = &StatusREST{}
)

// Storage is what is installed for NodePortRanges.
type Storage struct {
	NodePortRange *REST
	Status        *StatusREST
}

// NewStorage makes the storage of NodePortRanges.
func NewStorage(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, usage Usage) (Storage, error) {
	ranges, status, err := NewREST(scheme, getter, usage)
	return Storage{NodePortRange: ranges, Status: status}, err
}

// REST serves nodeportranges.
type REST struct {
	*genericregistry.Store
	undecorated *genericregistry.Store
}

// NewREST returns the store and the status store of NodePortRanges. usage is
// asked on every read.
func NewREST(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, usage Usage) (*REST, *StatusREST, error) {
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
	statusStore := *store
	statusStore.UpdateStrategy = statusStrategy{main}
	statusStore.ResetFieldsStrategy = statusStrategy{main}
	return &REST{store, &undecorated}, &StatusREST{&statusStore}, nil
}

// StatusREST serves nodeportranges/status.
type StatusREST struct {
	store *genericregistry.Store
}

// New implements rest.Storage.
func (*StatusREST) New() runtime.Object { return &v1.NodePortRange{} }

// Destroy implements rest.Storage. The store is REST's, which destroys it.
func (*StatusREST) Destroy() {}

// Get implements rest.Getter, which a patch needs.
func (r *StatusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}

// Update implements rest.Updater. A subresource never creates its object, not
// even by an apply, whatever the caller allows.
func (r *StatusREST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.store.Update(ctx, name, info, create, update, false, options)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (r *StatusREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.store.GetResetFields()
}

// ConvertToTable implements rest.TableConvertor.
func (r *StatusREST) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, object, options)
}
