package generic

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

var (
	_ rest.Patcher             = &Status{}
	_ rest.ResetFieldsStrategy = &Status{}
	_ rest.TableConvertor      = &Status{}
)

// StatusStrategy holds the rules for updating a status.
type StatusStrategy interface {
	rest.RESTUpdateStrategy
	rest.ResetFieldsStrategy
}

// ResetFields returns fields that an apply never owns, for a kind of portolan.dev/v1 that
// is also served in further versions. An apply uses the set of its own version.
func ResetFields(fields *fieldpath.Set, further ...fieldpath.APIVersion) map[fieldpath.APIVersion]*fieldpath.Set {
	reset := map[fieldpath.APIVersion]*fieldpath.Set{fieldpath.APIVersion(v1.SchemeGroupVersion.String()): fields}
	for _, version := range further {
		reset[version] = fields
	}
	return reset
}

// ResetCoreFields returns the same for a kind that only core v1 serves.
func ResetCoreFields(fields ...fieldpath.Path) map[fieldpath.APIVersion]*fieldpath.Set {
	return ResetFieldsOf("v1", fields...)
}

// ResetFieldsOf returns the same for a kind that is served in one version only.
func ResetFieldsOf(version fieldpath.APIVersion, fields ...fieldpath.Path) map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{version: fieldpath.NewSet(fields...)}
}

// Status serves a status subresource.
type Status struct {
	store Store
}

// NewStatus returns the status subresource of a kind. It does not change the kind's store,
// main.
func NewStatus(main Store, strategy StatusStrategy) *Status {
	store := *main.Store
	store.UpdateStrategy = strategy
	store.ResetFieldsStrategy = strategy
	main.Store = &store
	return &Status{main}
}

// ServedAs returns the status subresource as a group serves it.
func (r *Status) ServedAs(group Group) *Status { return &Status{r.store.ServedAs(group)} }

// New implements rest.Storage.
func (r *Status) New() runtime.Object { return r.store.New() }

// Destroy implements rest.Storage. The main store destroys the storage.
func (*Status) Destroy() {}

// Get implements rest.Getter, which patches need.
func (r *Status) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}

// Update implements rest.Updater. A subresource never creates its object, not even if the
// caller allows it, as an apply does.
func (r *Status) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.store.Update(ctx, name, info, create, update, false, options)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (r *Status) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.store.GetResetFields()
}

// ConvertToTable implements rest.TableConvertor.
func (r *Status) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, object, options)
}
