package event

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/pkg/registry/base"
)

var _ rest.StandardStorage = &REST{}

// Storage is what is installed for Events.
type Storage struct {
	Event *REST
}

// REST serves events.
type REST struct {
	base.Store
}

var called = base.Names{Short: []string{"ev"}}

// NewStorage makes the storage of Events, which etcd removes when nobody has
// written them for so long. A part of a second is not counted.
func NewStorage(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, ttl time.Duration) (Storage, error) {
	strategy := newStrategy(scheme)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &corev1.Event{} },
		NewListFunc:               func() runtime.Object { return &corev1.EventList{} },
		TTLFunc:                   func(runtime.Object, uint64, bool) (uint64, error) { return uint64(ttl.Seconds()), nil },
		DefaultQualifiedResource:  corev1.Resource("events"),
		SingularQualifiedResource: corev1.Resource("event"),

		CreateStrategy: strategy,
		UpdateStrategy: strategy,
		DeleteStrategy: strategy,

		TableConvertor: TableConvertor,
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter, AttrFunc: attributes}); err != nil {
		return Storage{}, err
	}
	return Storage{Event: &REST{base.Store{Store: store, Names: called}}}, nil
}

// Events is the storage in the group that Events have of their own. An Event that
// is refused is of the kind without a group there, too, as upstream's is.
func (s Storage) Events() Storage {
	at := s.Event.At(base.Door{Group: eventsv1.GroupName, Names: called})
	at.CreateStrategy, at.UpdateStrategy, at.DeleteStrategy = s.Event.CreateStrategy, s.Event.UpdateStrategy, s.Event.DeleteStrategy
	return Storage{Event: &REST{at}}
}
