// Package slicetracker keeps track of the EndpointSlices that one controller writes:
// those of a Service, whether the cache has delivered what was written, and those that
// another writer changed.
package slicetracker

import (
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/endpointslice/util"

	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
)

const (
	// settle is how long what others do to slices is let collect before it is
	// put right, as upstream does.
	settle = time.Second
	// patience is how long a cache may be behind. A slice that came and went
	// while the watch was interrupted is never seen.
	patience = 30 * time.Second
)

// Slices are those that carry a value in the label
// endpointslice.kubernetes.io/managed-by.
type Slices struct {
	// Tracker has to be told of every write.
	Tracker *util.EndpointSliceTracker

	managedBy string
	indexer   cache.Indexer

	mu sync.Mutex
	// behindSince is when the cache was first found to be behind, by Service.
	behindSince map[types.NamespacedName]time.Time
}

// NewSlices follows the slices that are managed by a controller. Changed is
// called with the key of the Service when somebody else has written one, or taken
// it away: a while later, batch at least.
func NewSlices(informer discoveryinformers.EndpointSliceInformer, managedBy string, batch time.Duration, changed func(key string)) (*Slices,
	error) {
	s := &Slices{
		Tracker:     util.NewEndpointSliceTracker(),
		managedBy:   managedBy,
		indexer:     informer.Informer().GetIndexer(),
		behindSince: map[types.NamespacedName]time.Time{},
	}
	if err := informer.Informer().AddIndexers(cache.Indexers{s.index(): s.serviceOf}); err != nil {
		return nil, err
	}
	// Whether it was somebody else is known only then: the event of a write of the
	// controller's may come before the answer to it.
	later := func(slice *discoveryv1.EndpointSlice, still func(*discoveryv1.EndpointSlice) bool) {
		name := slice.Labels[discoveryv1.LabelServiceName]
		if name == "" {
			return
		}
		time.AfterFunc(max(settle, batch), func() {
			if still(slice) {
				changed(types.NamespacedName{Namespace: slice.Namespace, Name: name}.String())
			}
		})
	}
	_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if slice := obj.(*discoveryv1.EndpointSlice); s.manages(slice) {
				later(slice, s.Tracker.ShouldSync)
			}
		},
		UpdateFunc: func(old, new any) {
			s.updated(old.(*discoveryv1.EndpointSlice), new.(*discoveryv1.EndpointSlice), later)
		},
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			slice, ok := obj.(*discoveryv1.EndpointSlice)
			if ok && s.manages(slice) && s.Tracker.Has(slice) && !s.Tracker.HandleDeletion(slice) {
				later(slice, always)
			}
		},
	})
	return s, err
}

func always(*discoveryv1.EndpointSlice) bool { return true }

func (s *Slices) updated(old, new *discoveryv1.EndpointSlice,
	later func(*discoveryv1.EndpointSlice, func(*discoveryv1.EndpointSlice) bool)) {
	switch {
	case old.Labels[discoveryv1.LabelServiceName] != new.Labels[discoveryv1.LabelServiceName]:
		later(old, always)
		later(new, always)
	case s.manages(old) != s.manages(new):
		later(new, always)
	case s.manages(new) && s.Tracker.ShouldSync(new):
		later(new, s.Tracker.ShouldSync)
	}
}

// index is the name of the index of slices by their Service.
func (s *Slices) index() string { return "managed/" + s.managedBy }

func (s *Slices) serviceOf(obj any) ([]string, error) {
	slice := obj.(*discoveryv1.EndpointSlice)
	if !s.manages(slice) {
		return nil, nil
	}
	return []string{types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}.String()}, nil
}

func (s *Slices) manages(slice *discoveryv1.EndpointSlice) bool {
	return slice.Labels[discoveryv1.LabelManagedBy] == s.managedBy
}

// Of are the slices of a Service, as the cache has them, but for those that are
// being deleted.
func (s *Slices) Of(service types.NamespacedName) ([]*discoveryv1.EndpointSlice, error) {
	found, err := s.indexer.ByIndex(s.index(), service.String())
	if err != nil {
		return nil, fmt.Errorf("slices of %s: %w", service, err)
	}
	slices := make([]*discoveryv1.EndpointSlice, 0, len(found))
	for _, obj := range found {
		if slice := obj.(*discoveryv1.EndpointSlice); slice.DeletionTimestamp == nil {
			slices = append(slices, slice)
		}
	}
	return slices, nil
}

// Current are the slices of a Service. The error is reconcile.ErrStale if the cache
// has not seen all that was written of them.
func (s *Slices) Current(service *corev1.Service) ([]*discoveryv1.EndpointSlice, error) {
	name := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
	slices, err := s.Of(name)
	if err != nil {
		return nil, err
	}
	if !s.Tracker.StaleSlices(service, slices) {
		s.caughtUp(name)
		return slices, nil
	}
	if s.behindFor(name) < patience {
		return nil, reconcile.ErrStale
	}
	s.Forget(name)
	return slices, nil
}

// Forget drops what is known of a Service.
func (s *Slices) Forget(service types.NamespacedName) {
	s.Tracker.DeleteService(service.Namespace, service.Name)
	s.caughtUp(service)
}

func (s *Slices) caughtUp(service types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.behindSince, service)
}

func (s *Slices) behindFor(service types.NamespacedName) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, known := s.behindSince[service]
	if !known {
		since = time.Now()
		s.behindSince[service] = since
	}
	return time.Since(since)
}
