// Package endpoint writes the Endpoints of Services from the Pods that they select.
// Package rules computes the content; this package decides when to write it.
//
// The controller does not touch the Endpoints of Services without a selector or of
// type ExternalName (kubernetes #105986). It deletes Endpoints whose Service is gone
// if it wrote them. Upstream also deletes handwritten ones at startup, because it
// has no transaction that deletes them with their Service.
package endpoint

import (
	"context"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/endpointslice/util"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
	"github.com/portolan-dev/portolan/pkg/controllers/rules"
	"github.com/portolan-dev/portolan/pkg/controllers/selectors"
)

// Component is the source of the controller's events.
const Component = rules.ManagedBy

// foreignWriteDelay is the time for which writes of others are batched before they are
// reverted, as for slices. Upstream reverts them with the next change of a Pod.
const foreignWriteDelay = time.Second

// Config configures the controller.
type Config struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	Selectors selectors.Index
	Recorder  record.EventRecorder
	// Loopback lists the loopback networks that are valid in endpoints.
	Loopback []netip.Prefix
	// BatchPeriod is the time for which Pod changes are batched.
	BatchPeriod time.Duration
}

// Controller writes the Endpoints of Services with a selector.
type Controller struct {
	client    kubernetes.Interface
	recorder  record.EventRecorder
	services  corelisters.ServiceLister
	pods      corelisters.PodLister
	endpoints corelisters.EndpointsLister
	loopback  []netip.Prefix
	written   *written
	triggers  *util.TriggerTimeTracker
	loop      *reconcile.Loop
}

// New makes a controller and adds its event handlers to the informers, which must not
// have been started.
func New(c Config) (*Controller, error) {
	core := c.Informers.Core().V1()
	controller := &Controller{
		client:    c.Client,
		recorder:  c.Recorder,
		services:  core.Services().Lister(),
		pods:      core.Pods().Lister(),
		endpoints: core.Endpoints().Lister(),
		loopback:  c.Loopback,
		written:   newWritten(core.Endpoints().Informer().GetIndexer()),
		triggers:  util.NewTriggerTimeTracker(),
	}
	controller.loop = reconcile.New("endpoint", controller.sync)
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
	if _, err := core.Endpoints().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if added := obj.(*corev1.Endpoints); ours(added) && controller.isOrphan(added) {
				enqueue(added)
			}
		},
		UpdateFunc: func(before, after any) {
			if e := after.(*corev1.Endpoints); ours(before.(*corev1.Endpoints)) || ours(e) {
				controller.requeueForeignWrite(e, max(foreignWriteDelay, c.BatchPeriod))
			}
		},
		DeleteFunc: enqueue,
	}); err != nil {
		return nil, err
	}
	_, err := core.Pods().Informer().AddEventHandler(c.Selectors.Handler(func(key string) {
		controller.loop.AddAfter(key, c.BatchPeriod)
	}))
	return controller, err
}

// Run runs the workers until the context ends. The informers must have synced.
func (c *Controller) Run(ctx context.Context, workers int) { c.loop.Run(ctx, workers) }

// ours returns false for the copy of a cluster's Endpoints, which the mirror writes.
func ours(e *corev1.Endpoints) bool {
	return e.Labels[rules.LabelManagedBy] == rules.ManagedBy && !v1.IsMirrored(e)
}

// requeueForeignWrite requeues Endpoints, after a delay, if another writer changed
// them. It cannot tell earlier: the event of the controller's own write can arrive
// before the response.
func (c *Controller) requeueForeignWrite(e *corev1.Endpoints, delay time.Duration) {
	time.AfterFunc(delay, func() {
		if !c.written.includes(e) {
			c.loop.Add(cache.MetaObjectToName(e).String())
		}
	})
}

func (c *Controller) isOrphan(e *corev1.Endpoints) bool {
	_, err := c.services.Services(e.Namespace).Get(e.Name)
	return apierrors.IsNotFound(err)
}

func (c *Controller) sync(ctx context.Context, key string) error {
	name, err := cache.ParseObjectName(key)
	if err != nil {
		return err
	}
	if !c.written.observed(key) {
		return reconcile.ErrStale
	}
	current, err := c.endpoints.Endpoints(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		current = nil
	} else if err != nil {
		return err
	}
	service, err := c.services.Services(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		c.triggers.DeleteService(name.Namespace, name.Name)
		c.written.forget(key)
		return c.deleteOrphan(ctx, current)
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
	trigger := c.triggers.ComputeEndpointLastChangeTriggerTime(service.Namespace, service, pods)
	// The endpointslice controller records the events about invalid Pods.
	usable, _ := rules.AllUsable(pods, c.loopback)
	desired, changed := rules.Desired(service, usable, current, trigger)
	if !changed {
		return nil
	}
	if current == nil {
		return c.create(ctx, desired)
	}
	return c.update(ctx, desired)
}

func (c *Controller) create(ctx context.Context, desired *corev1.Endpoints) error {
	stored, err := c.client.CoreV1().Endpoints(desired.Namespace).Create(ctx, desired, metav1.CreateOptions{})
	if err == nil {
		c.written.record(stored)
		return nil
	}
	// A retry would fail too, until the namespace is gone and the Service with it.
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	c.recorder.Eventf(desired, corev1.EventTypeWarning, "FailedToCreateEndpoint",
		"Failed to create endpoint for service %v/%v: %v", desired.Namespace, desired.Name, err)
	return err
}

func (c *Controller) update(ctx context.Context, desired *corev1.Endpoints) error {
	stored, err := c.client.CoreV1().Endpoints(desired.Namespace).Update(ctx, desired, metav1.UpdateOptions{})
	if err == nil {
		c.written.record(stored)
		return nil
	}
	c.recorder.Eventf(desired, corev1.EventTypeWarning, "FailedToUpdateEndpoint",
		"Failed to update endpoint %v/%v: %v", desired.Namespace, desired.Name, err)
	return err
}

// deleteOrphan deletes Endpoints whose Service is gone. The transaction that deletes a
// Service deletes its Endpoints, but a concurrent write of this controller can create
// them again.
func (c *Controller) deleteOrphan(ctx context.Context, orphan *corev1.Endpoints) error {
	if orphan == nil || !ours(orphan) {
		return nil
	}
	// The cache of Services can lag behind the cache of Endpoints.
	if _, err := c.client.CoreV1().Services(orphan.Namespace).Get(ctx, orphan.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return err
	}
	err := c.client.CoreV1().Endpoints(orphan.Namespace).Delete(ctx, orphan.Name, *metav1.NewPreconditionDeleteOptions(string(orphan.UID)))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
