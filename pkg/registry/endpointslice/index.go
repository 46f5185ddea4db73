package endpointslice

import (
	"context"
	"fmt"
	"strconv"

	discoveryv1 "k8s.io/api/discovery/v1"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	apigeneric "k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/cascade"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var _ cascade.SlicesReader = Reader{}

// serviceField is the field by which the watch cache indexes slices. Its value is the
// namespace and name of the Service. Clients cannot select by it, because it is not a
// field label of EndpointSlices.
const serviceField = "portolan.dev/service"

func serviceKey(namespace, name string) string { return namespace + "/" + name }

// Attributes returns the labels and fields that select EndpointSlices.
func Attributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	slice, ok := obj.(*v1.EndpointSlice)
	if !ok {
		return nil, nil, fmt.Errorf("not an EndpointSlice: %T", obj)
	}
	set := apigeneric.ObjectMetaFieldsSet(&slice.ObjectMeta, true)
	if name := slice.Labels[discoveryv1.LabelServiceName]; name != "" {
		set[serviceField] = serviceKey(slice.Namespace, name)
	}
	return slice.Labels, set, nil
}

// Indexers returns the index that Reader uses.
func Indexers() *cache.Indexers {
	return &cache.Indexers{storage.FieldIndex(serviceField): func(obj any) ([]string, error) {
		slice, ok := obj.(*v1.EndpointSlice)
		if !ok {
			return nil, fmt.Errorf("not an EndpointSlice: %T", obj)
		}
		if name := slice.Labels[discoveryv1.LabelServiceName]; name != "" {
			return []string{serviceKey(slice.Namespace, name)}, nil
		}
		return nil, nil
	}}
}

// Reader finds the EndpointSlices of a Service in the watch cache of their store.
type Reader struct {
	Store generic.Store
}

// OfService implements cascade.SlicesReader. It waits until the watch cache has reached
// the given revision. Its time is linear in the number of slices that it returns. The
// slices belong to the cache and must not be modified.
func (r Reader) OfService(ctx context.Context, namespace, service string, notOlderThan uint64) ([]v1.EndpointSlice, error) {
	predicate := storage.SelectionPredicate{
		Label:       labels.Everything(),
		Field:       fields.OneTermEqualSelector(serviceField, serviceKey(namespace, service)),
		GetAttrs:    Attributes,
		IndexFields: []string{serviceField},
	}
	list, err := r.Store.ListPredicate(request.WithNamespace(ctx, namespace), predicate, &metainternalversion.ListOptions{
		ResourceVersion:      strconv.FormatUint(notOlderThan, 10),
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		return nil, err
	}
	slices, ok := list.(*v1.EndpointSliceList)
	if !ok {
		return nil, fmt.Errorf("not an EndpointSliceList: %T", list)
	}
	return slices.Items, nil
}
