package generic

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apigeneric "k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"
)

// Kind describes a kind and its store.
type Kind struct {
	// Resource is the plural name in the kind's own API group.
	Resource schema.GroupResource
	Singular string
	// New and NewList return empty objects.
	New, NewList func() runtime.Object
	// Table makes the table that kubectl shows.
	Table rest.TableConvertor
	// Attributes returns the labels and fields for selectors. The default fields are the
	// name and, in a namespace, the namespace.
	Attributes storage.AttrFunc
	// Indexers are indexes of the watch cache.
	Indexers *cache.Indexers
	// ReturnDeleted answers a DELETE with the object instead of a Status.
	ReturnDeleted bool
	// DeleteDuringUpdate reports whether an update of a terminating object removes it. By
	// default it does if no finalizers are left.
	DeleteDuringUpdate func(ctx context.Context, key string, object, existing runtime.Object) bool
}

// Rules are the rules for the objects of a kind.
type Rules struct {
	Strategy Strategy
	// Status is nil for a kind without a status subresource.
	Status StatusStrategy
	// TTL is how long etcd keeps an object after its last write, in whole seconds. Zero
	// means forever.
	TTL time.Duration
	// Normalize converts an object that an older release stored, or each one in a list, to
	// the current form. It does not run on watch events.
	Normalize func(runtime.Object)
	// Fill sets the fields that are computed on every read and never stored, on an object
	// or on each one in a list.
	Fill func(runtime.Object)
}

// decorator returns what runs on objects that are read: Normalize, and Fill after it. It
// is nil if there is neither.
func (r Rules) decorator() func(runtime.Object) {
	switch {
	case r.Normalize == nil:
		return r.Fill
	case r.Fill == nil:
		return r.Normalize
	}
	return func(obj runtime.Object) {
		r.Normalize(obj)
		r.Fill(obj)
	}
}

// Strategy holds the rules for creating, updating and deleting objects.
type Strategy interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
	rest.RESTDeleteStrategy
}

// NewStore returns the store of a kind. The getter's storage must write through the client
// of txn.Decorate; otherwise dry runs would write.
func NewStore(kind Kind, rules Rules, getter apigeneric.RESTOptionsGetter) (Store, error) {
	store := &genericregistry.Store{
		NewFunc:                   kind.New,
		NewListFunc:               kind.NewList,
		DefaultQualifiedResource:  kind.Resource,
		SingularQualifiedResource: schema.GroupResource{Group: kind.Resource.Group, Resource: kind.Singular},

		CreateStrategy: rules.Strategy,
		UpdateStrategy: rules.Strategy,
		DeleteStrategy: rules.Strategy,

		ReturnDeletedObject:      kind.ReturnDeleted,
		ShouldDeleteDuringUpdate: kind.DeleteDuringUpdate,
		Decorator:                rules.decorator(),
		TableConvertor:           kind.Table,
	}
	if reset, ok := rules.Strategy.(rest.ResetFieldsStrategy); ok {
		store.ResetFieldsStrategy = reset
	}
	if rules.TTL > 0 {
		store.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return uint64(rules.TTL.Seconds()), nil }
	}
	options := &apigeneric.StoreOptions{RESTOptions: getter, AttrFunc: kind.Attributes, Indexers: kind.Indexers}
	if err := store.CompleteWithOptions(options); err != nil {
		return Store{}, err
	}
	return Store{Store: store, watchFill: rules.Fill}, nil
}
