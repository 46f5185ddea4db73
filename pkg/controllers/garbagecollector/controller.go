package garbagecollector

import (
	"context"
	"fmt"
	"sync"
	"time"

	apiextensionsinformers "k8s.io/apiextensions-apiserver/pkg/client/informers/externalversions/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/controllers/garbagecollector/graph"
	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
)

const (
	// Component is the source of the collector's events; it is upstream's.
	Component = "garbage-collector-controller"
	// ReasonInvalidNamespace is the reason of the event about an object that names an owner in
	// another namespace; it is upstream's.
	ReasonInvalidNamespace = "OwnerRefInvalidNamespace"

	// syncTimeout is how long a start waits for kinds that can't be read; it is upstream's.
	syncTimeout = 30 * time.Second
	// orphanDelay is how long an owner at least waits to be orphaned. The watch of another kind
	// may still have to deliver a dependent that was made before. Without the owner it would be
	// deleted.
	orphanDelay = time.Second
	// lastEvents is how long the objects of a kind are still watched when it is not served any more.
	lastEvents = 2 * time.Second
	// unfollowedPeriod is how often an object is looked at again that is owned by an object
	// that is not watched.
	unfollowedPeriod = 10 * time.Minute
)

// Config configures the collector.
type Config struct {
	// Client reads and writes the objects of all kinds.
	Client metadata.Interface
	// Kinds are the kinds that are always served.
	Kinds []Kind
	// Definitions has the definitions of custom kinds, as the server knows them that serves
	// these. The caller runs it.
	Definitions apiextensionsinformers.CustomResourceDefinitionInformer
	Recorder    record.EventRecorder
}

// Controller is the garbage collector.
type Controller struct {
	client      metadata.Interface
	recorder    record.EventRecorder
	definitions cache.SharedIndexInformer
	kinds       *kinds
	graph       *graph.Graph
	follower    *follower
	loop        *reconcile.Loop
}

// New returns a collector, which can run once.
func New(c Config) *Controller {
	controller := &Controller{client: c.Client, recorder: c.Recorder, definitions: c.Definitions.Informer(), kinds: &kinds{}}
	controller.loop = reconcile.New("garbagecollector", controller.sync)
	controller.graph = graph.New(controller.kinds.resolve, controller.loop.Add)
	controller.follower = &follower{
		client: c.Client, graph: controller.graph, kinds: controller.kinds, builtIn: c.Kinds, definitions: c.Definitions.Lister(),
		changed: make(chan struct{}, 1), first: make(chan struct{}), watches: map[schema.GroupVersionResource]func(){},
	}
	return controller
}

// Run collects until the context ends.
func (c *Controller) Run(ctx context.Context, workers int) {
	if err := c.run(ctx, workers); err != nil {
		klog.FromContext(ctx).Error(err, "The garbage collector can't run")
	}
}

func (c *Controller) run(ctx context.Context, workers int) error {
	registration, err := c.definitions.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { c.follower.notice() },
		UpdateFunc: func(_, _ any) { c.follower.notice() },
		DeleteFunc: func(any) { c.follower.notice() },
	})
	if err != nil {
		return fmt.Errorf("definitions of custom resources: %w", err)
	}
	defer func() {
		if err := c.definitions.RemoveEventHandler(registration); err != nil {
			klog.FromContext(ctx).Error(err, "The garbage collector can't remove its handler of CustomResourceDefinitions")
		}
	}()
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return nil
	}
	var running sync.WaitGroup
	running.Go(func() { c.follower.run(ctx) })
	c.follower.awaitAll(ctx, syncTimeout)
	c.loop.Run(ctx, workers)
	running.Wait()
	return nil
}
