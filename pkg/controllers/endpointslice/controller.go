// Package endpointslice makes EndpointSlices out of the Pods that Services
// select. What they hold is decided by k8s.io/endpointslice; here is when, and
// what becomes of slices whose Service is gone.
//
// Services without a selector and those of type ExternalName are left alone,
// with whatever slices they have (kubernetes #105986).
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
	// ManagedBy is the value of the label endpointslice.kubernetes.io/managed-by:
	// upstream's, since consumers and the API server's validation know that. The
	// cluster's own controller has it too, but on slices of discovery.k8s.io.
	ManagedBy = "endpointslice-controller.k8s.io"
	// Component is whom events are from.
	Component = "endpoint-slice-controller"
)

// Config is what the controller works with.
type Config struct {
	Client     kubernetes.Interface
	Informers  informers.SharedInformerFactory
	Membership selectors.Index
	Recorder   record.EventRecorder
	// MaxEndpoints is how many a slice has at most.
	MaxEndpoints int32
	// Loopback are the networks of loopback that endpoints may be in.
	Loopback []netip.Prefix
	// BatchPeriod is how long changes of Pods are let collect.
	BatchPeriod time.Duration
	// Unscheduled takes Pods that name no node as well, where nobody schedules
	// them. In a cluster those don't run.
	Unscheduled bool
}

// Controller keeps the slices of Services with selectors.
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

// New makes the controller and registers what it listens to with the informers,
// which must not have been started.
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
	if controller.topology, err = newTopology(core.Nodes(), c.Membership, controller.loop.Add); err != nil {
		return nil, err
	}
	nodes := core.Nodes().Lister()
	if c.Unscheduled {
		nodes = noNode{nodes}
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
		UpdateFunc: func(_, new any) { enqueue(new) },
		DeleteFunc: enqueue,
	}); err != nil {
		return nil, err
	}
	_, err = core.Pods().Informer().AddEventHandler(c.Membership.Handler(func(key string) {
		controller.loop.AddAfter(key, c.BatchPeriod)
	}))
	return controller, err
}

// Run works until the context ends and returns when all is done. The informers
// must have synced.
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
	if service.Spec.Type == corev1.ServiceTypeExternalName || service.Spec.Selector == nil {
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

// cleanUp forgets a Service that is gone and deletes the slices that are left of
// it. They go with the Service, in its own transaction, but one that this
// controller wrote at the same moment may have come after that.
func (c *Controller) cleanUp(ctx context.Context, name types.NamespacedName) error {
	c.triggers.DeleteService(name.Namespace, name.Name)
	c.reconciler.DeleteService(name.Namespace, name.Name)
	c.slices.Forget(name)
	c.leftOut.forget(name)
	left, err := c.slices.Of(name)
	if err != nil || len(left) == 0 {
		return err
	}
	// The cache of Services may be behind that of slices.
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

// noNode has a node for Pods that name none: one in no zone.
type noNode struct{ corelisters.NodeLister }

func (n noNode) Get(name string) (*corev1.Node, error) {
	if name == "" {
		return &corev1.Node{}, nil
	}
	return n.NodeLister.Get(name)
}
