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
	byPair = "membership/pair"
	byNode = "membership/node"
)

// Index finds Services by what is in their selectors, and Pods by their nodes.
// A Service is looked up by one of the pairs of key and value in its selector,
// so a Pod is compared with the Services that share a pair with it, not with all.
type Index struct {
	services, pods cache.Indexer
}

// NewIndex indexes what the informers have. They must not have been started.
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

// pairOf is the pair that a Service is found by: the first by key. A selector
// with no pair in it selects every Pod.
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

// pair can't be ambiguous: none of the parts may have a = in it.
func pair(namespace, key, value string) string { return namespace + "=" + key + "=" + value }

// Of is the keys of the Services whose selectors match labels.
func (x Index) Of(namespace string, of map[string]string) sets.Set[string] {
	found := sets.New[string]()
	find := func(pair string) {
		for _, candidate := range lookUp(x.services, byPair, pair) {
			service := candidate.(*corev1.Service)
			if labels.ValidatedSetSelector(service.Spec.Selector).Matches(labels.Set(of)) {
				found.Insert(cache.MetaObjectToName(service).String())
			}
		}
	}
	find(pair(namespace, "", ""))
	for key, value := range of {
		find(pair(namespace, key, value))
	}
	return found
}

// OnNode is the keys of the Services that Pods on a node belong to.
func (x Index) OnNode(name string) sets.Set[string] {
	found := sets.New[string]()
	for _, obj := range lookUp(x.pods, byNode, name) {
		pod := obj.(*corev1.Pod)
		found = found.Union(x.Of(pod.Namespace, pod.Labels))
	}
	return found
}

func lookUp(indexer cache.Indexer, index, value string) []any {
	found, err := indexer.ByIndex(index, value)
	if err != nil {
		// There is no other error than that there is no such index.
		utilruntime.HandleError(err)
	}
	return found
}

// Handler calls enqueue with the key of each Service whose endpoints a change of
// a Pod may change.
func (x Index) Handler(enqueue func(key string)) cache.ResourceEventHandler {
	one := func(obj any) {
		if pod := podOf(obj); pod != nil {
			x.concerned(pod, pod, true, enqueue)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    one,
		DeleteFunc: one,
		UpdateFunc: func(old, new any) {
			was, is := old.(*corev1.Pod), new.(*corev1.Pod)
			x.concerned(was, is, endpointChanged(was, is), enqueue)
		},
	}
}

// concerned are the Services that the Pod belongs or belonged to if its endpoint
// has changed, and otherwise those that it left or joined.
func (x Index) concerned(was, is *corev1.Pod, changed bool, enqueue func(key string)) {
	relabeled := !maps.Equal(was.Labels, is.Labels)
	if !changed && !relabeled {
		return
	}
	keys := x.Of(is.Namespace, is.Labels)
	if relabeled {
		before := x.Of(was.Namespace, was.Labels)
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

// endpointChanged says whether what endpoints tell of a Pod is different. The
// rest of it, such as its containers' ports, never changes.
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
