package writeback

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
)

// Component is the source of the controller's events.
const Component = "portolan-write-back"

// Config configures the controller.
type Config struct {
	// Cluster is the cluster's kube-apiserver. It has the references and receives the copies.
	Cluster kubernetes.Interface
	// Dynamic reads the same server.
	Dynamic dynamic.Interface
	// Informers are those of Portolan's Services and EndpointSlices.
	Informers informers.SharedInformerFactory
	Recorder  record.EventRecorder
	Status    *Status
}

// Controller writes the copies.
type Controller struct {
	Config
	references *references
	// services and slices are Portolan's, copies and copiedSlices the cluster's.
	services     corelisters.ServiceLister
	slices       discoverylisters.EndpointSliceLister
	copies       corelisters.ServiceLister
	copiedSlices discoverylisters.EndpointSliceLister
	cluster      informers.SharedInformerFactory
	labeled      informers.SharedInformerFactory
	untyped      dynamicinformer.DynamicSharedInformerFactory
	loop         *reconcile.Loop
}

// New makes a controller and adds its event handlers to the informers, which must not have
// been started.
func New(config Config) (*Controller, error) {
	c := &Controller{
		Config: config, references: newReferences(),
		cluster: informers.NewSharedInformerFactory(config.Cluster, 0),
		labeled: informers.NewSharedInformerFactoryWithOptions(config.Cluster, 0,
			informers.WithTweakListOptions(func(options *metav1.ListOptions) {
				options.LabelSelector = v1.LabelWrittenBack + "=" + v1.WrittenBack
			})),
		untyped:  dynamicinformer.NewDynamicSharedInformerFactory(config.Dynamic, 0),
		services: config.Informers.Core().V1().Services().Lister(),
		slices:   config.Informers.Discovery().V1().EndpointSlices().Lister(),
	}
	c.copies, c.copiedSlices = c.labeled.Core().V1().Services().Lister(), c.labeled.Discovery().V1().EndpointSlices().Lister()
	c.loop = reconcile.New("write_back", c.sync)
	registered := c.cluster.Admissionregistration().V1()
	for _, informer := range []cache.SharedIndexInformer{
		registered.ValidatingWebhookConfigurations().Informer(), registered.MutatingWebhookConfigurations().Informer(),
		c.untyped.ForResource(definitions).Informer(), c.untyped.ForResource(apiServices).Informer(),
	} {
		if err := informer.SetTransform(trim); err != nil {
			return nil, err
		}
		if _, err := informer.AddEventHandler(handler(c.refer)); err != nil {
			return nil, err
		}
	}
	for _, informer := range []cache.SharedIndexInformer{
		config.Informers.Core().V1().Services().Informer(), config.Informers.Discovery().V1().EndpointSlices().Informer(),
		c.labeled.Core().V1().Services().Informer(), c.labeled.Discovery().V1().EndpointSlices().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler(c.enqueue)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// handler returns a handler that passes on an object and whether it exists.
func handler(handle func(obj any, exists bool)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { handle(obj, true) },
		UpdateFunc: func(_, obj any) { handle(obj, true) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			handle(obj, false)
		},
	}
}

// refer records what an object of the cluster refers to.
func (c *Controller) refer(obj any, exists bool) {
	referring, ok := obj.(runtime.Object)
	if !ok {
		return
	}
	var now []types.NamespacedName
	if exists {
		now = referencesOf(obj)
	}
	for _, name := range c.references.set(keyOf(referring), now) {
		c.loop.Add(name.String())
	}
}

// enqueue enqueues the Service of an object, if anything refers to it or there is a copy.
func (c *Controller) enqueue(obj any, _ bool) {
	var name types.NamespacedName
	switch o := obj.(type) {
	case *corev1.Service:
		name = types.NamespacedName{Namespace: o.Namespace, Name: o.Name}
	case *discoveryv1.EndpointSlice:
		name = types.NamespacedName{Namespace: o.Namespace, Name: o.Labels[discoveryv1.LabelServiceName]}
	default:
		return
	}
	if c.references.has(name) || c.copy(name) != nil || obj.(metav1.Object).GetLabels()[v1.LabelWrittenBack] != "" {
		c.loop.Add(name.String())
	}
}

// Run runs the workers until the context ends. It waits until all that refers to Services is
// known: until then, every copy would seem to be unused.
func (c *Controller) Run(ctx context.Context, workers int) {
	ctx, cancel := context.WithCancel(ctx)
	defer c.Status.reset()
	defer c.cluster.Shutdown()
	defer c.labeled.Shutdown()
	defer c.untyped.Shutdown()
	defer cancel()
	if err := c.checkRights(ctx); err != nil {
		klog.FromContext(ctx).Error(err, "Services are not written back: give the server's user the rights of "+
			"artifacts/cluster/write-back")
	}
	c.cluster.StartWithContext(ctx)
	c.labeled.StartWithContext(ctx)
	c.untyped.Start(ctx.Done())
	for _, err := range []error{
		c.cluster.WaitForCacheSyncWithContext(ctx).AsError(), c.labeled.WaitForCacheSyncWithContext(ctx).AsError(),
	} {
		if err != nil {
			return
		}
	}
	for _, synced := range c.untyped.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return
		}
	}
	c.loop.Run(ctx, workers)
}

// checkRights reads what the informers read, for an error that says what is missing.
func (c *Controller) checkRights(ctx context.Context) error {
	one := metav1.ListOptions{Limit: 1}
	if _, err := c.Cluster.CoreV1().Services("").List(ctx, one); err != nil {
		return fmt.Errorf("reading Services: %w", err)
	}
	if _, err := c.Dynamic.Resource(apiServices).List(ctx, one); err != nil {
		return fmt.Errorf("reading APIServices: %w", err)
	}
	_, err := c.Dynamic.Resource(definitions).List(ctx, one)
	return err
}
