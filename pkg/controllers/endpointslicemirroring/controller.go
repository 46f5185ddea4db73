// Package endpointslicemirroring mirrors handwritten Endpoints of Services without a selector to
// EndpointSlices, so that clients need to read slices only (KEP-752). Package rules
// computes the content of the slices.
//
// The controller skips Endpoints with the label
// endpointslice.kubernetes.io/skip-mirror=true, and Endpoints that are the lock of a
// leader election.
package endpointslicemirroring

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
	"github.com/portolan-dev/portolan/pkg/controllers/rules"
	"github.com/portolan-dev/portolan/pkg/controllers/slicetracker"
)

// Component is the source of the controller's events.
const Component = "endpoint-slice-mirroring-controller"

// Config configures the controller.
type Config struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	Recorder  record.EventRecorder
	// MaxEndpoints is the most addresses of a subset that are mirrored.
	MaxEndpoints int32
	// Loopback lists the loopback networks that are valid in endpoints.
	Loopback []netip.Prefix
	// BatchPeriod is the time for which changes of slices by others are batched.
	BatchPeriod time.Duration
}

// Controller writes the slices that mirror Endpoints.
type Controller struct {
	client       kubernetes.Interface
	recorder     record.EventRecorder
	services     corelisters.ServiceLister
	endpoints    corelisters.EndpointsLister
	slices       *slicetracker.Slices
	maxEndpoints int32
	loopback     []netip.Prefix
	loop         *reconcile.Loop
}

// New makes a controller and adds its event handlers to the informers, which must not
// have been started.
func New(c Config) (*Controller, error) {
	core := c.Informers.Core().V1()
	controller := &Controller{
		client:       c.Client,
		recorder:     c.Recorder,
		services:     core.Services().Lister(),
		endpoints:    core.Endpoints().Lister(),
		maxEndpoints: c.MaxEndpoints,
		loopback:     c.Loopback,
	}
	controller.loop = reconcile.New("endpoint_slice_mirroring", controller.sync)
	var err error
	controller.slices, err = slicetracker.NewSlices(c.Informers.Discovery().V1().EndpointSlices(), rules.MirroredBy, c.BatchPeriod,
		controller.loop.Add)
	if err != nil {
		return nil, err
	}
	enqueue := func(obj any) {
		if name, err := cache.DeletionHandlingObjectToName(obj); err == nil {
			controller.loop.Add(name.String())
		}
	}
	if _, err := core.Services().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if obj.(*corev1.Service).Spec.Selector == nil {
				enqueue(obj)
			}
		},
		UpdateFunc: func(before, after any) {
			if (before.(*corev1.Service).Spec.Selector == nil) != (after.(*corev1.Service).Spec.Selector == nil) {
				enqueue(after)
			}
		},
		DeleteFunc: enqueue,
	}); err != nil {
		return nil, err
	}
	_, err = core.Endpoints().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if mirrored(obj.(*corev1.Endpoints)) {
				enqueue(obj)
			}
		},
		UpdateFunc: func(before, after any) {
			if mirrored(before.(*corev1.Endpoints)) || mirrored(after.(*corev1.Endpoints)) {
				enqueue(after)
			}
		},
		DeleteFunc: enqueue,
	})
	return controller, err
}

// Run runs the workers until the context ends. The informers must have synced.
func (c *Controller) Run(ctx context.Context, workers int) { c.loop.Run(ctx, workers) }

// mirrored reports whether Endpoints are mirrored, provided that their Service has no
// selector.
func mirrored(e *corev1.Endpoints) bool {
	_, election := e.Annotations[resourcelock.LeaderElectionRecordAnnotationKey]
	return !election && e.Labels[discoveryv1.LabelSkipMirror] != "true"
}

func (c *Controller) sync(ctx context.Context, key string) error {
	name, err := cache.ParseObjectName(key)
	if err != nil {
		return err
	}
	source, service, err := c.read(name)
	if err != nil {
		return err
	}
	// The slices of a copy are copies too. The mirror deletes those that this controller has left.
	if service != nil && v1.IsMirrored(service) {
		c.slices.Forget(types.NamespacedName(name))
		return nil
	}
	if source == nil || service == nil || service.Spec.Selector != nil || !mirrored(source) {
		return c.deleteAll(ctx, types.NamespacedName(name))
	}
	existing, err := c.slices.Current(service)
	if err != nil {
		return err
	}
	mirror := rules.Mirror(source.Subsets, int(c.maxEndpoints), c.loopback)
	if mirror.Invalid > 0 {
		c.recorder.Eventf(source, corev1.EventTypeWarning, "InvalidIPAddress",
			"Skipped %d invalid IP addresses when mirroring to EndpointSlices", mirror.Invalid)
	}
	if mirror.Skipped > 0 {
		c.recorder.Eventf(source, corev1.EventTypeWarning, "TooManyAddressesToMirror",
			"A max of %d addresses can be mirrored to EndpointSlices per Endpoints subset. %d addresses were skipped",
			c.maxEndpoints, mirror.Skipped+mirror.Invalid)
	}
	return c.apply(ctx, source, rules.MirrorChanges(source, mirror.Groups, existing))
}

// read returns the Endpoints and the Service of a name from the caches. An object that
// does not exist is nil.
func (c *Controller) read(name cache.ObjectName) (*corev1.Endpoints, *corev1.Service, error) {
	source, err := c.endpoints.Endpoints(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		source, err = nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	service, err := c.services.Services(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		service, err = nil, nil
	}
	return source, service, err
}

func (c *Controller) apply(ctx context.Context, source *corev1.Endpoints, changes rules.Changes) error {
	client := c.client.DiscoveryV1().EndpointSlices(source.Namespace)
	// Slices of Endpoints that are being deleted would be deleted with them.
	if source.DeletionTimestamp == nil {
		for _, slice := range changes.Create {
			stored, err := client.Create(ctx, slice, metav1.CreateOptions{})
			// A retry would fail too, until the namespace and its objects are gone.
			if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("failed to create EndpointSlice for Endpoints %s/%s: %w", source.Namespace, source.Name, err)
			}
			c.slices.Tracker.Update(stored)
		}
	}
	for _, slice := range changes.Update {
		stored, err := client.Update(ctx, slice, metav1.UpdateOptions{})
		if err != nil {
			return fmt.Errorf("failed to update %s EndpointSlice for Endpoints %s/%s: %w", slice.Name, source.Namespace, source.Name, err)
		}
		c.slices.Tracker.Update(stored)
	}
	for _, slice := range changes.Delete {
		if err := c.delete(ctx, slice); err != nil {
			return fmt.Errorf("failed to delete %s EndpointSlice for Endpoints %s/%s: %w", slice.Name, source.Namespace, source.Name, err)
		}
		c.slices.Tracker.ExpectDeletion(slice)
	}
	return nil
}

// deleteAll deletes the slices of a name whose Endpoints are not mirrored.
func (c *Controller) deleteAll(ctx context.Context, name types.NamespacedName) error {
	c.slices.Forget(name)
	left, err := c.slices.Of(name)
	if err != nil || len(left) == 0 {
		return err
	}
	// The caches of Services and Endpoints can lag behind the cache of slices.
	if needed, err := c.isNeeded(ctx, name); needed || err != nil {
		return err
	}
	for _, slice := range left {
		if err := c.delete(ctx, slice); err != nil {
			return fmt.Errorf("failed to delete %s EndpointSlice of %s: %w", slice.Name, name, err)
		}
	}
	return nil
}

// isNeeded reports whether the Endpoints are mirrored according to the server, not the
// caches.
func (c *Controller) isNeeded(ctx context.Context, name types.NamespacedName) (bool, error) {
	service, err := c.client.CoreV1().Services(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if err != nil || service.Spec.Selector != nil {
		return false, ignoreNotFound(err)
	}
	source, err := c.client.CoreV1().Endpoints(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if err != nil {
		return false, ignoreNotFound(err)
	}
	return mirrored(source) && !v1.IsMirrored(service), nil
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (c *Controller) delete(ctx context.Context, slice *discoveryv1.EndpointSlice) error {
	err := c.client.DiscoveryV1().EndpointSlices(slice.Namespace).Delete(ctx, slice.Name,
		*metav1.NewPreconditionDeleteOptions(string(slice.UID)))
	if apierrors.IsConflict(err) {
		return nil
	}
	return ignoreNotFound(err)
}
