// Package slicetracker tracks the EndpointSlices that one controller writes. It finds
// the slices of a Service, reports whether the cache has delivered the controller's own
// writes, and detects changes by other writers.
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

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
)

const (
	// foreignWriteDelay is the time for which writes of others are batched before
	// they are reverted, as upstream does.
	foreignWriteDelay = time.Second
	// maxLag is the longest time to wait for the cache. It never delivers a slice that
	// was created and deleted while the watch was interrupted.
	maxLag = 30 * time.Second
)

// Slices are the EndpointSlices with one value of the label
// endpointslice.kubernetes.io/managed-by.
type Slices struct {
	// Tracker records the controller's writes. The controller must report each one.
	Tracker *util.EndpointSliceTracker

	managedBy string
	indexer   cache.Indexer

	mu sync.Mutex
	// laggingSince holds, for each Service, the time at which the cache was first
	// found to lag.
	laggingSince map[types.NamespacedName]time.Time
}

// NewSlices tracks the slices of the controller managedBy. When another writer changes
// or deletes one, it calls changed with the key of the Service, after a delay of batch
// or foreignWriteDelay, whichever is longer.
func NewSlices(informer discoveryinformers.EndpointSliceInformer, managedBy string, batch time.Duration, changed func(key string)) (*Slices,
	error) {
	s := &Slices{
		Tracker:      util.NewEndpointSliceTracker(),
		managedBy:    managedBy,
		indexer:      informer.Informer().GetIndexer(),
		laggingSince: map[types.NamespacedName]time.Time{},
	}
	if err := informer.Informer().AddIndexers(cache.Indexers{s.index(): s.serviceOf}); err != nil {
		return nil, err
	}
	// The delay is also needed to tell writers apart: the event of the controller's own
	// write can arrive before the response.
	later := func(slice *discoveryv1.EndpointSlice, still func(*discoveryv1.EndpointSlice) bool) {
		name := slice.Labels[discoveryv1.LabelServiceName]
		if name == "" {
			return
		}
		time.AfterFunc(max(foreignWriteDelay, batch), func() {
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
		UpdateFunc: func(before, after any) {
			s.updated(before.(*discoveryv1.EndpointSlice), after.(*discoveryv1.EndpointSlice), later)
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

func (s *Slices) updated(before, after *discoveryv1.EndpointSlice,
	later func(*discoveryv1.EndpointSlice, func(*discoveryv1.EndpointSlice) bool)) {
	switch {
	case before.Labels[discoveryv1.LabelServiceName] != after.Labels[discoveryv1.LabelServiceName]:
		later(before, always)
		later(after, always)
	case s.manages(before) != s.manages(after):
		later(after, always)
	case s.manages(after) && s.Tracker.ShouldSync(after):
		later(after, s.Tracker.ShouldSync)
	}
}

// index returns the name of the index of slices by Service.
func (s *Slices) index() string { return "slicetracker/" + s.managedBy }

func (s *Slices) serviceOf(obj any) ([]string, error) {
	slice := obj.(*discoveryv1.EndpointSlice)
	if !s.manages(slice) {
		return nil, nil
	}
	return []string{types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}.String()}, nil
}

// manages returns false for the copy of a cluster's slice, which the mirror writes.
func (s *Slices) manages(slice *discoveryv1.EndpointSlice) bool {
	return slice.Labels[discoveryv1.LabelManagedBy] == s.managedBy && !v1.IsMirrored(slice)
}

// Of returns the slices of a Service in the cache, except those being deleted.
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

// Current returns the slices of a Service. It fails with reconcile.ErrStale if the cache
// has not delivered all writes of the controller, unless it has lagged for maxLag.
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
	if s.laggingFor(name) < maxLag {
		return nil, reconcile.ErrStale
	}
	s.Forget(name)
	return slices, nil
}

// Forget drops all records of a Service.
func (s *Slices) Forget(service types.NamespacedName) {
	s.Tracker.DeleteService(service.Namespace, service.Name)
	s.caughtUp(service)
}

func (s *Slices) caughtUp(service types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.laggingSince, service)
}

func (s *Slices) laggingFor(service types.NamespacedName) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, known := s.laggingSince[service]
	if !known {
		since = time.Now()
		s.laggingSince[service] = since
	}
	return time.Since(since)
}
