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

// serviceField is what the watch cache finds the slices of a Service by: the
// Service's namespace and name. No client can select by it, as EndpointSlices
// have no field labels but those of all kinds.
const serviceField = "portolan.dev/service"

func serviceKey(namespace, name string) string { return namespace + "/" + name }

// Attributes returns what EndpointSlices are selected by.
func Attributes(object runtime.Object) (labels.Set, fields.Set, error) {
	slice, ok := object.(*v1.EndpointSlice)
	if !ok {
		return nil, nil, fmt.Errorf("the store of EndpointSlices was handed a %T", object)
	}
	set := apigeneric.ObjectMetaFieldsSet(&slice.ObjectMeta, true)
	if name := slice.Labels[discoveryv1.LabelServiceName]; name != "" {
		set[serviceField] = serviceKey(slice.Namespace, name)
	}
	return slice.Labels, set, nil
}

// Indexers returns the index that Reader uses.
func Indexers() *cache.Indexers {
	return &cache.Indexers{storage.FieldIndex(serviceField): func(object any) ([]string, error) {
		slice, ok := object.(*v1.EndpointSlice)
		if !ok {
			return nil, fmt.Errorf("the index of EndpointSlices was handed a %T", object)
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

// OfService implements cascade.SlicesReader. It waits for the watch cache to have
// the given revision and takes time by the number of slices it returns. They are
// the cache's own and must not be changed.
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
		return nil, fmt.Errorf("the store of EndpointSlices returned a %T", list)
	}
	return slices.Items, nil
}
