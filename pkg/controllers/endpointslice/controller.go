// Package endpointslice writes the EndpointSlices of Services from the Pods that they
// select. Package k8s.io/endpointslice computes the content; this package decides when
// to write it, and deletes slices whose Service is gone.
//
// The controller does not touch the slices of Services without a selector or of type
// ExternalName (kubernetes #105986).
package endpointslice

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/endpointslice"
	"k8s.io/endpointslice/metrics"
	"k8s.io/endpointslice/util"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
	"github.com/portolan-dev/portolan/pkg/controllers/rules"
	"github.com/portolan-dev/portolan/pkg/controllers/selectors"
	"github.com/portolan-dev/portolan/pkg/controllers/slicetracker"
)

const (
	// ManagedBy is the value of the label endpointslice.kubernetes.io/managed-by. It
	// is upstream's, because consumers and upstream's validation know it. The
	// cluster's own controller uses it too, but on slices of discovery.k8s.io.
	ManagedBy = "endpointslice-controller.k8s.io"
	// Component is the source of the controller's events.
	Component = "endpoint-slice-controller"
)

// Config configures the controller.
type Config struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	Selectors selectors.Index
	Recorder  record.EventRecorder
	// MaxEndpoints is the most endpoints that a slice holds.
	MaxEndpoints int32
	// Loopback lists the loopback networks that are valid in endpoints.
	Loopback []netip.Prefix
	// BatchPeriod is the time for which Pod changes are batched.
	BatchPeriod time.Duration
	// Unscheduled includes Pods without a node, for servers that have no scheduler. In
	// a cluster such Pods do not run.
	Unscheduled bool
}

// Controller writes the slices of Services with a selector.
type Controller struct {
	client     kubernetes.Interface
	recorder   record.EventRecorder
	services   corelisters.ServiceLister
	pods       corelisters.PodLister
	topology   *topology
	slices     *slicetracker.Slices
	triggers   *util.TriggerTimeTracker
	reconciler *endpointslice.Reconciler
	loopback   []netip.Prefix
	leftOut    leftOut
	loop       *reconcile.Loop
}

// New makes a controller and adds its event handlers to the informers, which must not
// have been started.
func New(c Config) (*Controller, error) {
	metrics.RegisterMetrics()
	core := c.Informers.Core().V1()
	controller := &Controller{
		client:   c.Client,
		recorder: c.Recorder,
		services: core.Services().Lister(),
		pods:     core.Pods().Lister(),
		triggers: util.NewTriggerTimeTracker(),
		loopback: c.Loopback,
		leftOut:  leftOut{recorder: c.Recorder, recorded: map[types.NamespacedName]string{}},
	}
	controller.loop = reconcile.New("endpoint_slice", controller.sync)
	var err error
	controller.slices, err = slicetracker.NewSlices(c.Informers.Discovery().V1().EndpointSlices(), ManagedBy, c.BatchPeriod,
		controller.loop.Add)
	if err != nil {
		return nil, err
	}
	if controller.topology, err = newTopology(core, c.Selectors, controller.loop.Add); err != nil {
		return nil, err
	}
	nodes := core.Nodes().Lister()
	if c.Unscheduled {
		nodes = nodesOfUnscheduled{nodes}
	}
	controller.reconciler = endpointslice.NewReconciler(c.Client, nodes, c.MaxEndpoints, controller.slices.Tracker,
		controller.topology.cache, c.Recorder, ManagedBy, endpointslice.WithPreferSameTrafficDistributionEnabled(true))

	enqueue := func(obj any) {
		if name, err := cache.DeletionHandlingObjectToName(obj); err == nil {
			controller.loop.Add(name.String())
		}
	}
	if _, err := core.Services().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, after any) { enqueue(after) },
		DeleteFunc: enqueue,
	}); err != nil {
		return nil, err
	}
	_, err = core.Pods().Informer().AddEventHandler(c.Selectors.Handler(func(key string) {
		controller.loop.AddAfter(key, c.BatchPeriod)
	}))
	return controller, err
}

// Run runs the workers until the context ends. The informers must have synced.
func (c *Controller) Run(ctx context.Context, workers int) {
	var running sync.WaitGroup
	running.Go(func() { c.topology.loop.Run(ctx, 1) })
	running.Go(func() { c.loop.Run(ctx, workers) })
	running.Wait()
}

func (c *Controller) sync(ctx context.Context, key string) error {
	err := c.syncService(ctx, key)
	result := "success"
	switch {
	case errors.Is(err, reconcile.ErrStale):
		result = "stale"
	case err != nil:
		result = "error"
	}
	metrics.EndpointSliceSyncs.WithLabelValues(result).Inc()
	return err
}

func (c *Controller) syncService(ctx context.Context, key string) error {
	name, err := cache.ParseObjectName(key)
	if err != nil {
		return err
	}
	service, err := c.services.Services(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		return c.cleanUp(ctx, types.NamespacedName(name))
	}
	if err != nil {
		return err
	}
	if !rules.SelectsPods(service) {
		return nil
	}
	pods, err := c.pods.Pods(service.Namespace).List(labels.SelectorFromValidatedSet(service.Spec.Selector))
	if err != nil {
		return err
	}
	slices, err := c.slices.Current(service)
	if err != nil {
		return err
	}
	trigger := c.triggers.ComputeEndpointLastChangeTriggerTime(service.Namespace, service, pods)
	usable, errs := rules.AllUsable(pods, c.loopback)
	c.leftOut.record(service, errs)
	if err := c.reconciler.Reconcile(klog.FromContext(ctx), service, usable, slices, trigger); err != nil {
		c.recorder.Eventf(service, corev1.EventTypeWarning, "FailedToUpdateEndpointSlices",
			"Error updating Endpoint Slices for Service %s/%s: %v", service.Namespace, service.Name, err)
		return err
	}
	return nil
}

// cleanUp forgets a Service that is gone and deletes its remaining slices. The
// transaction that deletes a Service deletes its slices, but a concurrent write of this
// controller can create one afterward.
func (c *Controller) cleanUp(ctx context.Context, name types.NamespacedName) error {
	c.triggers.DeleteService(name.Namespace, name.Name)
	c.reconciler.DeleteService(name.Namespace, name.Name)
	c.slices.Forget(name)
	c.leftOut.forget(name)
	left, err := c.slices.Of(name)
	if err != nil || len(left) == 0 {
		return err
	}
	// The cache of Services can lag behind the cache of slices.
	if _, err := c.client.CoreV1().Services(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return err
	}
	for _, slice := range left {
		err := c.client.DiscoveryV1().EndpointSlices(name.Namespace).Delete(ctx, slice.Name,
			*metav1.NewPreconditionDeleteOptions(string(slice.UID)))
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return err
		}
	}
	return nil
}

// nodesOfUnscheduled returns an empty Node, in no zone, for Pods without a node.
type nodesOfUnscheduled struct{ corelisters.NodeLister }

func (n nodesOfUnscheduled) Get(name string) (*corev1.Node, error) {
	if name == "" {
		return &corev1.Node{}, nil
	}
	return n.NodeLister.Get(name)
}
