// Package selectors finds the Services that a Pod belongs to.
package selectors

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"

	"github.com/portolan-dev/portolan/pkg/controllers/rules"
)

const (
	byPair = "selectors/pair"
	byNode = "selectors/node"
)

// Index finds Services by their selectors, and Pods by their nodes. It indexes a Service
// by one key-value pair of its selector, so that a Pod is compared only with Services
// that share a pair with it.
type Index struct {
	services, pods cache.Indexer
}

// NewIndex adds indexers to the informers, which must not have been started.
func NewIndex(services, pods cache.SharedIndexInformer) (Index, error) {
	if err := services.AddIndexers(cache.Indexers{byPair: pairOf}); err != nil {
		return Index{}, err
	}
	if err := pods.AddIndexers(cache.Indexers{byNode: nodeOf}); err != nil {
		return Index{}, err
	}
	return Index{services: services.GetIndexer(), pods: pods.GetIndexer()}, nil
}

func nodeOf(obj any) ([]string, error) { return []string{obj.(*corev1.Pod).Spec.NodeName}, nil }

// pairOf returns the pair that a Service is indexed by: the first one, by key. An empty
// selector selects every Pod and gets a pair of its own.
func pairOf(obj any) ([]string, error) {
	service := obj.(*corev1.Service)
	switch {
	case service.Spec.Selector == nil:
		return nil, nil
	case len(service.Spec.Selector) == 0:
		return []string{pair(service.Namespace, "", "")}, nil
	}
	key := slices.Min(slices.Collect(maps.Keys(service.Spec.Selector)))
	return []string{pair(service.Namespace, key, service.Spec.Selector[key])}, nil
}

// pair is unambiguous, because no part can contain "=".
func pair(namespace, key, value string) string { return namespace + "=" + key + "=" + value }

// Matching returns the keys of the Services whose selectors match the labels of a Pod.
func (x Index) Matching(namespace string, podLabels map[string]string) sets.Set[string] {
	found := sets.New[string]()
	find := func(pair string) {
		for _, candidate := range lookUp(x.services, byPair, pair) {
			service := candidate.(*corev1.Service)
			if labels.ValidatedSetSelector(service.Spec.Selector).Matches(labels.Set(podLabels)) {
				found.Insert(cache.MetaObjectToName(service).String())
			}
		}
	}
	find(pair(namespace, "", ""))
	for key, value := range podLabels {
		find(pair(namespace, key, value))
	}
	return found
}

// OnNode returns the keys of the Services that select a Pod on the node.
func (x Index) OnNode(name string) sets.Set[string] {
	found := sets.New[string]()
	for _, obj := range lookUp(x.pods, byNode, name) {
		pod := obj.(*corev1.Pod)
		found = found.Union(x.Matching(pod.Namespace, pod.Labels))
	}
	return found
}

func lookUp(indexer cache.Indexer, index, value string) []any {
	found, err := indexer.ByIndex(index, value)
	if err != nil {
		// The only possible error is that the index does not exist.
		utilruntime.HandleError(err)
	}
	return found
}

// Handler returns an event handler for Pods. It calls enqueue with the key of each
// Service whose endpoints the event can change.
func (x Index) Handler(enqueue func(key string)) cache.ResourceEventHandler {
	one := func(obj any) {
		if pod := podOf(obj); pod != nil {
			x.enqueueAffected(pod, pod, true, enqueue)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    one,
		DeleteFunc: one,
		UpdateFunc: func(before, after any) {
			was, is := before.(*corev1.Pod), after.(*corev1.Pod)
			x.enqueueAffected(was, is, endpointChanged(was, is), enqueue)
		},
	}
}

// enqueueAffected enqueues the Services that select the Pod, now or before the event, if
// its endpoint has changed. Otherwise it enqueues only those that the Pod left or joined.
func (x Index) enqueueAffected(was, is *corev1.Pod, changed bool, enqueue func(key string)) {
	relabeled := !maps.Equal(was.Labels, is.Labels)
	if !changed && !relabeled {
		return
	}
	keys := x.Matching(is.Namespace, is.Labels)
	if relabeled {
		before := x.Matching(was.Namespace, was.Labels)
		if changed {
			keys = keys.Union(before)
		} else {
			keys = keys.SymmetricDifference(before)
		}
	}
	for key := range keys {
		enqueue(key)
	}
}

// endpointChanged reports whether the values that an endpoint takes from a Pod differ,
// as far as they can change: a container's ports, for example, cannot.
func endpointChanged(was, is *corev1.Pod) bool {
	return was.UID != is.UID ||
		(was.DeletionTimestamp == nil) != (is.DeletionTimestamp == nil) ||
		rules.Ready(was) != rules.Ready(is) ||
		rules.Eligible(was) != rules.Eligible(is) ||
		was.Spec.NodeName != is.Spec.NodeName ||
		was.Status.PodIP != is.Status.PodIP ||
		!equality.Semantic.DeepEqual(was.Status.PodIPs, is.Status.PodIPs)
}

func podOf(obj any) *corev1.Pod {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	pod, _ := obj.(*corev1.Pod)
	return pod
}
