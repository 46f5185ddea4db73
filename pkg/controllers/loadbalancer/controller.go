// Package loadbalancer serves the Services that wait for a load-balancer address.
//
// The transaction that creates or changes a Service gives it its addresses. If the pools
// are full, or a ClaimQuota allows no more, the Service is stored without one and waits. So does
// a dual-stack Service that has got an address of one IP family and none of the other. When a
// claim ends, or a pool or a quota changes, this controller updates the Services that wait,
// oldest first, without a change of its own: each update is a request like any other, and its
// transaction gives the Service what is free. The controller never writes an address itself.
//
// When a pool appears or changes, it also updates the load balancers that no pool has served
// so far, or with an address of one IP family only. Those that another controller has given
// addresses of the pool then claim them.
//
// While no Service waits, it costs nothing. While one waits, it asks a few times after each
// event, for two minutes, and then no more.
package loadbalancer

import (
	"context"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/generated/informers/externalversions"
	listers "github.com/portolan-dev/portolan/generated/listers/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
)

const (
	// Component is the source of the controller's events.
	Component = "load-balancer-address-controller"
	// ReasonRejected is the reason of the event about a Service whose request for
	// addresses is rejected.
	ReasonRejected = "LoadBalancerAddressRejected"

	byNeed    = "loadbalancer/need"
	byService = "loadbalancer/service"
	// The keys of the queue and of the index: the Services that wait, and all that a pool
	// could serve.
	waiting, unserved = "waiting", "unserved"
)

// Config configures the controller.
type Config struct {
	// Client updates Services.
	Client kubernetes.Interface
	// Ranges reads pools, claims and quotas.
	Ranges versioned.Interface
	// Informers has the Services.
	Informers informers.SharedInformerFactory
	Recorder  record.EventRecorder
}

// Controller serves the Services that wait for a load-balancer address.
type Controller struct {
	client   kubernetes.Interface
	services cache.Indexer
	// ranges are the informers of pools, claims and quotas. The controller starts them itself, so
	// that a server that does not let it read them keeps no other controller waiting.
	ranges   externalversions.SharedInformerFactory
	pools    listers.LoadBalancerPoolLister
	claims   cache.Indexer
	recorder record.EventRecorder
	loop     *reconcile.Loop
	// again has how often the controller looks once more if Services still wait, by key.
	again map[string]*atomic.Int32
}

// New makes a controller and adds its event handlers to the informers, which must not
// have been started.
func New(c Config) (*Controller, error) {
	services := c.Informers.Core().V1().Services().Informer()
	ranges := externalversions.NewSharedInformerFactoryWithOptions(c.Ranges, 0, externalversions.WithTransform(trim))
	portolan := ranges.Portolan().V1()
	controller := &Controller{
		client: c.Client, services: services.GetIndexer(), ranges: ranges, pools: portolan.LoadBalancerPools().Lister(), recorder: c.Recorder,
		again: map[string]*atomic.Int32{waiting: {}, unserved: {}},
	}
	controller.loop = reconcile.New("loadbalancer", controller.sync)
	if err := services.AddIndexers(cache.Indexers{byNeed: need}); err != nil {
		return nil, err
	}
	claims := portolan.LoadBalancerIPs().Informer()
	if err := claims.AddIndexers(cache.Indexers{byService: reservedFor}); err != nil {
		return nil, err
	}
	controller.claims = claims.GetIndexer()
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		services:                                controller.serviceHandler(),
		portolan.LoadBalancerPools().Informer(): controller.poolHandler(),
		claims:                                  controller.claimHandler(),
		portolan.ClaimQuotas().Informer():       controller.quotaHandler(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return nil, err
		}
	}
	return controller, nil
}

// Run serves Services until the context ends. The informers of Services must have synced.
// There is one worker, because the order matters.
func (c *Controller) Run(ctx context.Context, _ int) {
	c.ranges.StartWithContext(ctx)
	defer c.ranges.Shutdown()
	if err := c.ranges.WaitForCacheSyncWithContext(ctx).AsError(); err != nil {
		return
	}
	c.look(unserved)
	c.loop.Run(ctx, 1)
}

// look serves the Services of a key.
func (c *Controller) look(key string) {
	c.again[key].Store(int32(len(pauses())))
	c.loop.Add(key)
}

// pauses are the times after which the controller looks once more after an event, as no
// further event says when that helps. The server, or the replica that it asks, can learn of
// the event later than the controller does. An address can also come free because a request
// has picked and not claimed it. That takes two minutes at most: a request lasts one, and
// allocation.Index.DropLater waits for another.
func pauses() []time.Duration {
	return []time.Duration{
		200 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second, 90 * time.Second,
	}
}

// lookAgain serves the Services that still wait, after a pause, unless it has done so often
// enough since the last event.
func (c *Controller) lookAgain(key string) {
	all := pauses()
	if left := int(c.again[key].Add(-1)); left >= 0 {
		c.loop.AddAfter(key, all[len(all)-1-left])
	}
}

// trim removes what the controller does not read of claims, of which there can be many. It
// keeps for whom an address is reserved.
func trim(obj any) (any, error) {
	if claim, ok := obj.(*v1.LoadBalancerIP); ok {
		var reserved v1.LoadBalancerIPSpec
		if len(claim.Spec.Holders) == 0 {
			reserved.ParentRef = claim.Spec.ParentRef
		}
		claim.ManagedFields, claim.Labels, claim.Annotations, claim.Spec = nil, nil, nil, reserved
	}
	return obj, nil
}

// serviceHandler records why a Service waits. It also serves it: what came free before the
// Service was stored is an event that is past. It serves those that wait when a Service may
// no longer use an address that it never claimed, or may share it.
func (c *Controller) serviceHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			if service := obj.(*corev1.Service); !initial && message(service) != "" {
				c.recordWaiting(service)
				c.look(waiting)
			}
		},
		UpdateFunc: func(before, after any) {
			service, old := after.(*corev1.Service), before.(*corev1.Service)
			if message(service) != "" && message(service) != message(old) {
				c.recordWaiting(service)
				c.look(waiting)
			}
			if usesUnclaimed(old) {
				c.look(waiting)
			}
		},
		DeleteFunc: func(obj any) {
			if service, ok := obj.(*corev1.Service); !ok || usesUnclaimed(service) {
				c.look(waiting)
			}
		},
	}
}

// poolHandler serves Services when a pool appears or changes. When one is deleted, an address
// that other pools have too can be free for them.
func (c *Controller) poolHandler() cache.ResourceEventHandler {
	handler := c.specHandler(unserved, func(obj any) any { return obj.(*v1.LoadBalancerPool).Spec })
	handler.AddFunc = func(any) { c.look(unserved) }
	return handler
}

// quotaHandler serves Services when a ClaimQuota changes or is deleted.
func (c *Controller) quotaHandler() cache.ResourceEventHandler {
	return c.specHandler(waiting, func(obj any) any { return obj.(*v1.ClaimQuota).Spec })
}

// specHandler serves the Services of a key when an object is deleted or its spec changes.
func (c *Controller) specHandler(key string, spec func(obj any) any) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, after any) {
			if !equality.Semantic.DeepEqual(spec(before), spec(after)) {
				c.look(key)
			}
		},
		DeleteFunc: func(any) { c.look(key) },
	}
}

// claimHandler notices claims that end, holders that leave a shared address, and addresses
// that are reserved for a Service.
func (c *Controller) claimHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if services, _ := reservedFor(obj); len(services) > 0 {
				c.look(waiting)
			}
		},
		UpdateFunc: func(any, any) { c.look(waiting) },
		DeleteFunc: func(any) { c.look(waiting) },
	}
}
