package endpointslice

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	coreinformers "k8s.io/client-go/informers/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/endpointslice/topologycache"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
	"github.com/portolan-dev/portolan/pkg/controllers/selectors"
)

// topology watches Nodes. They determine the zones of endpoints and the hints of
// Services that use topology-aware routing.
type topology struct {
	cache    *topologycache.TopologyCache
	nodes    corelisters.NodeLister
	services corelisters.ServiceLister
	enqueue  func(key string)
	loop     *reconcile.Loop
}

// allNodes is the only key of the loop. Hints depend on all Nodes together.
const allNodes = "nodes"

func newTopology(core coreinformers.Interface, index selectors.Index, enqueue func(key string)) (*topology, error) {
	t := &topology{
		cache:    topologycache.NewTopologyCache(),
		nodes:    core.Nodes().Lister(),
		services: core.Services().Lister(),
		enqueue:  enqueue,
	}
	t.loop = reconcile.New("endpoint_slice_topology", t.sync)
	onNode := func(node *corev1.Node) {
		for key := range index.OnNode(node.Name) {
			enqueue(key)
		}
	}
	_, err := core.Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			t.loop.Add(allNodes)
			// A Pod becomes an endpoint once its Node is known. Upstream learns
			// of the Node with a retry.
			if !initial {
				onNode(obj.(*corev1.Node))
			}
		},
		UpdateFunc: func(before, after any) {
			was, is := before.(*corev1.Node), after.(*corev1.Node)
			zoneChanged := was.Labels[corev1.LabelTopologyZone] != is.Labels[corev1.LabelTopologyZone]
			if zoneChanged || ready(was) != ready(is) {
				t.loop.Add(allNodes)
			}
			// A cloud provider can set the zone late. Upstream then omits it from
			// the slices until something else in them changes.
			if zoneChanged {
				onNode(is)
			}
		},
		DeleteFunc: func(any) { t.loop.Add(allNodes) },
	})
	return t, err
}

// sync enqueues the Services whose hints may no longer fit the Nodes, and those that want
// hints and have none. Upstream enqueues only the former: a Service that was synchronized
// before its Nodes were known then has no hints until something else in it changes.
func (t *topology) sync(ctx context.Context, _ string) error {
	nodes, err := t.nodes.List(labels.Everything())
	if err != nil {
		return err
	}
	services, err := t.services.List(labels.Everything())
	if err != nil {
		return err
	}
	t.cache.SetNodes(klog.FromContext(ctx), nodes)
	for _, key := range t.cache.GetOverloadedServices() {
		t.enqueue(key)
	}
	for _, service := range services {
		key := cache.MetaObjectToName(service).String()
		if wantsHints(service.Annotations) && !t.cache.HasPopulatedHints(key) {
			t.enqueue(key)
		}
	}
	return nil
}

// wantsHints reports whether the annotations ask for hints that depend on the processors
// of each zone. See hintsEnabled of k8s.io/endpointslice.
func wantsHints(annotations map[string]string) bool {
	mode, set := annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	if !set {
		mode = annotations[corev1.AnnotationTopologyMode]
	}
	return mode == "Auto" || mode == "auto"
}

func ready(node *corev1.Node) bool {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == corev1.NodeReady {
			return node.Status.Conditions[i].Status == corev1.ConditionTrue
		}
	}
	return false
}
