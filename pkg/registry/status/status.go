// Package status serves the status subresources of all kinds that have one.
package status

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/base"
)

var (
	_ rest.Patcher             = &REST{}
	_ rest.ResetFieldsStrategy = &REST{}
	_ rest.TableConvertor      = &REST{}
)

// Strategy is how a status is updated.
type Strategy interface {
	rest.RESTUpdateStrategy
	rest.ResetFieldsStrategy
}

// ResetFields are the fields that an apply never comes to own, in this group's
// version and in each further version that the store is served in: an apply
// reads the set of its own.
func ResetFields(fields *fieldpath.Set, further ...fieldpath.APIVersion) map[fieldpath.APIVersion]*fieldpath.Set {
	reset := map[fieldpath.APIVersion]*fieldpath.Set{fieldpath.APIVersion(v1.SchemeGroupVersion.String()): fields}
	for _, version := range further {
		reset[version] = fields
	}
	return reset
}

// ResetCoreFields are the same of a kind that is served in core v1 alone.
func ResetCoreFields(fields ...fieldpath.Path) map[fieldpath.APIVersion]*fieldpath.Set {
	return ResetFieldsOf("v1", fields...)
}

// ResetFieldsOf are the same of a kind that is served in one version alone.
func ResetFieldsOf(version fieldpath.APIVersion, fields ...fieldpath.Path) map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{version: fieldpath.NewSet(fields...)}
}

// REST serves a status.
type REST struct {
	store base.Store
}

// NewREST makes the status subresource of the kind that a store, which is left
// as it is, serves.
func NewREST(main *genericregistry.Store, strategy Strategy) *REST {
	store := *main
	store.UpdateStrategy = strategy
	store.ResetFieldsStrategy = strategy
	return &REST{base.Store{Store: &store}}
}

// At is the status at another door.
func (r *REST) At(door base.Door) *REST { return &REST{r.store.At(door)} }

// New implements rest.Storage.
func (r *REST) New() runtime.Object { return r.store.New() }

// Destroy implements rest.Storage. The storage is the main store's, which
// destroys it.
func (*REST) Destroy() {}

// Get implements rest.Getter, which a patch needs.
func (r *REST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}

// Update implements rest.Updater. A subresource never creates its object, not
// even by an apply, whatever the caller allows.
func (r *REST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.store.Update(ctx, name, info, create, update, false, options)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (r *REST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.store.GetResetFields()
}

// ConvertToTable implements rest.TableConvertor.
func (r *REST) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, object, options)
}
