package service

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/service"
)

var (
	_ rest.StandardStorage     = &REST{}
	_ rest.ShortNamesProvider  = &REST{}
	_ rest.CategoriesProvider  = &REST{}
	_ rest.Patcher             = &StatusREST{}
	_ rest.ResetFieldsStrategy = &StatusREST{}
	_ rest.TableConvertor      = &StatusREST{}
)

// Families are the IP families of the cluster, the default one first.
type Families func() []corev1.IPFamily

// Storage is what is installed for Services.
type Storage struct {
	Service *REST
	Status  *StatusREST
}

// REST serves services.
type REST struct {
	*genericregistry.Store
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
	status := *store
	status.UpdateStrategy = statusStrategy{main}
	status.ResetFieldsStrategy = statusStrategy{main}
	return Storage{Service: &REST{store}, Status: &StatusREST{&status}}, nil
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

// ShortNames implements rest.ShortNamesProvider. Upstream's svc stays with the
// core group.
func (*REST) ShortNames() []string { return []string{"psvc"} }

// Categories implements rest.CategoriesProvider.
func (*REST) Categories() []string { return []string{"all"} }

// StatusREST serves services/status.
type StatusREST struct {
	store *genericregistry.Store
}

// New implements rest.Storage.
func (*StatusREST) New() runtime.Object { return &v1.Service{} }

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
