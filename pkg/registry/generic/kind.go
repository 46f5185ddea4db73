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

// Kind describes one kind of objects and the store that holds them.
type Kind struct {
	// Resource is the plural name, with the kind's own API group.
	Resource schema.GroupResource
	Singular string
	// New and NewList return empty objects.
	New, NewList func() runtime.Object
	// Table has the columns that kubectl shows.
	Table rest.TableConvertor
	// Attributes returns the labels and fields that select an object. By default
	// the fields are the name and, in a namespace, the namespace.
	Attributes storage.AttrFunc
	// Indexers are indexes of the watch cache.
	Indexers *cache.Indexers
	// ReturnDeleted answers a DELETE with the object instead of a Status.
	ReturnDeleted bool
	// DeleteDuringUpdate replaces the default rule for when an update of a
	// terminating object removes it: no finalizers are left.
	DeleteDuringUpdate func(ctx context.Context, key string, object, existing runtime.Object) bool
}

// Rules are the parts of a kind's store that act on its objects.
type Rules struct {
	Strategy Strategy
	// Status is nil for a kind without a status subresource.
	Status StatusStrategy
	// TTL is how long etcd keeps an object after its last write, in whole
	// seconds. Zero keeps it forever.
	TTL time.Duration
	// Normalize brings an object, or each one in a list, that an older release
	// stored into today's form. It does not run on watch events.
	Normalize func(runtime.Object)
	// Fill sets the fields that are computed on every read and never stored, on
	// an object or on each one in a list.
	Fill func(runtime.Object)
}

// Strategy holds the rules for creating, updating and deleting objects.
type Strategy interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
	rest.RESTDeleteStrategy
}

// NewStore makes the store of a kind. A getter whose decorator does not end in
// the client of txn.Decorate makes dry runs write.
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
		Decorator:                rules.Normalize,
		TableConvertor:           kind.Table,
	}
	if reset, ok := rules.Strategy.(rest.ResetFieldsStrategy); ok {
		store.ResetFieldsStrategy = reset
	}
	if rules.Fill != nil {
		store.Decorator = rules.Fill
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
