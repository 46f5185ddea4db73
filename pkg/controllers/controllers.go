// Package controllers runs the three controllers that keep Endpoints and
// EndpointSlices in line with Services and Pods, the one that serves Services that wait for
// a load-balancer address, and on request the mirror of a cluster's own Services. One
// process runs them at a time.
// In a cluster that process is elected with a Lease of the cluster; a standalone
// server elects with a key in etcd that users cannot write.
//
//	cluster    Pods, Nodes ─────┐
//	                            ├─→ endpoint       ─→ Endpoints
//	Portolan   Services ────────┼─→ endpointslice  ─→ EndpointSlices
//	           Endpoints ───────┴─→ mirroring      ─→ EndpointSlices
//	           Services, LoadBalancerPools,
//	           LoadBalancerIPs  ──→ loadbalancer   ─→ Services
//	cluster    Services, Endpoints,
//	           EndpointSlices   ──→ mirror         ─→ copies of them in Portolan
//
// On request, writeback copies Services to the cluster. On a standalone server, garbagecollector
// does what owner references ask for.
//
// The packages below it:
//   - endpoint, endpointslice, mirroring, loadbalancer, mirror, writeback and
//     garbagecollector are the controllers;
//   - rules computes Endpoints, without I/O (k8s.io/endpointslice does so for slices);
//   - portolanclient joins the two sources in one clientset;
//   - reconcile runs workers on a queue;
//   - selectors finds the Services of a Pod;
//   - slicetracker finds the slices of a Service and whether the cache has them.
//
// Each change is written once. A controller waits until its cache has delivered its own
// last write, and skips a write that would change nothing.
package controllers

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/controllers/endpoint"
	"github.com/portolan-dev/portolan/pkg/controllers/endpointslice"
	"github.com/portolan-dev/portolan/pkg/controllers/endpointslicemirroring"
	"github.com/portolan-dev/portolan/pkg/controllers/garbagecollector"
	"github.com/portolan-dev/portolan/pkg/controllers/loadbalancer"
	"github.com/portolan-dev/portolan/pkg/controllers/mirror"
	"github.com/portolan-dev/portolan/pkg/controllers/portolanclient"
	"github.com/portolan-dev/portolan/pkg/controllers/selectors"
	"github.com/portolan-dev/portolan/pkg/controllers/writeback"
	"github.com/portolan-dev/portolan/pkg/storage/source"
)

// Config configures the controllers.
type Config struct {
	// Cluster serves Pods, Nodes and the Lease, and stores the events.
	Cluster kubernetes.Interface
	// Portolan is the server of Services, Endpoints and EndpointSlices as
	// portolan.dev/v1. If it is nil, Cluster serves them in the core API groups.
	Portolan *rest.Config
	// Ranges is the client of load-balancer pools and the claims on their addresses, on the
	// server of Services. Without it, Services that wait for an address are not served.
	Ranges versioned.Interface
	// Sources has the objects that are stored in this process. The others are read with the
	// clients.
	Sources []Stored
	// Unscheduled includes Pods without a node, for servers that have no scheduler.
	Unscheduled bool
	// Loopback lists the loopback networks that the server accepts in endpoints.
	Loopback []netip.Prefix
	// Lock makes the lock of the election. If it is nil, the election uses the Lease
	// that the options name. Otherwise only earlier releases elect with that Lease.
	Lock func(identity string) resourcelock.Interface
	// Leadership records the leader. It is optional.
	Leadership *Leadership
	// GarbageCollector configures the garbage collector, without the recorder. Nil runs none.
	GarbageCollector *garbagecollector.Config
	// Mirrored records what the mirror does. It is optional.
	Mirrored *mirror.Status
	// OwnKubernetes is true if the Service kubernetes is Portolan's own and the cluster's is
	// not mirrored.
	OwnKubernetes bool
	// WriteBack is the cluster to which Services are written back, if the options say so.
	WriteBack *rest.Config
	// WrittenBack records what is written back. It is optional.
	WrittenBack *writeback.Status
	Options     *Options
}

// Stored is a resource whose objects are stored in this process.
type Stored struct {
	// Example is an object of the type that clients have.
	Example runtime.Object
	Source  source.Source
}

// Run runs the controllers while this process holds the lock, or always if leader
// election is off. When the context ends, it waits for the workers, releases the lock
// and returns.
func Run(ctx context.Context, c Config) error {
	client, scheme, err := c.client()
	if err != nil {
		return err
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartStructuredLogging(3)
	broadcaster.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: c.Cluster.CoreV1().Events("")})
	r := runner{client: client, ranges: c.Ranges, options: c.Options, unscheduled: c.Unscheduled, loopback: c.Loopback,
		broadcaster: broadcaster, scheme: scheme, garbageCollector: c.GarbageCollector, sources: c.Sources}
	if c.Options.MirrorClusterServices {
		if r.mirror, err = c.mirror(broadcaster); err != nil {
			return err
		}
	}

	if c.Options.WriteBackServices {
		if r.writeBack, err = c.writeBack(); err != nil {
			return err
		}
	}

	identity, err := newIdentity()
	if err != nil {
		return err
	}
	lead := func(ctx context.Context) {
		if err := r.lead(ctx); err != nil {
			klog.FromContext(ctx).Error(err, "Failed to run the controllers")
		}
	}
	leadership := cmp.Or(c.Leadership, NewLeadership())
	config := c.Options.LeaderElection
	if !config.LeaderElect {
		leadership.runWithoutElection(ctx, identity, lead)
		return nil
	}
	lock, err := resourcelock.New(config.ResourceLock, config.ResourceNamespace, config.ResourceName,
		c.Cluster.CoreV1(), c.Cluster.CoordinationV1(), resourcelock.ResourceLockConfig{
			Identity:      identity,
			EventRecorder: broadcaster.NewRecorder(clientgoscheme.Scheme, corev1.EventSource{Component: config.ResourceName}),
		})
	if err != nil {
		return err
	}
	if c.Lock != nil {
		previous := previousLease{lock: lock, config: config}
		controllers := lead
		lead = func(ctx context.Context) { previous.run(ctx, controllers) }
		lock = c.Lock(identity)
	}
	lock = &checkedLock{Interface: lock, check: r.canReadServices, timeout: config.RenewDeadline.Duration, leadership: leadership}
	election := election{config: config, lock: lock, leadership: leadership}
	return election.run(ctx, lead)
}

// client returns the clientset of the controllers, and the scheme that maps its types
// to the API groups that serve them.
func (c Config) client() (kubernetes.Interface, *runtime.Scheme, error) {
	if c.Portolan == nil {
		return c.Cluster, clientgoscheme.Scheme, nil
	}
	client, err := portolanclient.New(c.Cluster, c.Portolan)
	return client, portolanclient.NewScheme(), err
}

// mirror returns the configuration of the mirror without the informers, which each term
// makes anew.
func (c Config) mirror(broadcaster record.EventBroadcaster) (*mirror.Config, error) {
	client, err := portolanclient.NewREST(c.Portolan)
	if err != nil {
		return nil, err
	}
	return &mirror.Config{
		Cluster: c.Cluster, Portolan: client, Status: cmp.Or(c.Mirrored, mirror.NewStatus()), OwnKubernetes: c.OwnKubernetes,
		Recorder: broadcaster.NewRecorder(clientgoscheme.Scheme, corev1.EventSource{Component: mirror.Component}),
	}, nil
}

// writeBack returns the configuration of the controller that writes Services back, without
// the informers, which each term makes anew.
func (c Config) writeBack() (*writeback.Config, error) {
	client, err := dynamic.NewForConfig(c.WriteBack)
	if err != nil {
		return nil, fmt.Errorf("client of the cluster: %w", err)
	}
	return &writeback.Config{Cluster: c.Cluster, Dynamic: client, Status: cmp.Or(c.WrittenBack, writeback.NewStatus())}, nil
}

type runner struct {
	// writeBack is nil if Services are not written back.
	writeBack *writeback.Config
	// mirror is nil if the cluster's Services are not mirrored.
	mirror *mirror.Config
	// garbageCollector is nil if no garbage is collected.
	garbageCollector *garbagecollector.Config
	sources          []Stored
	// ranges is nil if Services that wait for an address are not served.
	ranges      versioned.Interface
	client      kubernetes.Interface
	options     *Options
	unscheduled bool
	loopback    []netip.Prefix
	broadcaster record.EventBroadcaster
	scheme      *runtime.Scheme
}

func (r *runner) recorder(component string) record.EventRecorder {
	return r.broadcaster.NewRecorder(r.scheme, corev1.EventSource{Component: component})
}

// canReadServices reads a Service through the server, which reads it from etcd. A
// process that fails this check must not lead, even if it can reach the lock.
func (r *runner) canReadServices(ctx context.Context) error {
	_, err := r.client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading a Service: %w", err)
	}
	return nil
}

type controller interface {
	Run(ctx context.Context, workers int)
}

// lead runs the controllers until the context ends and all workers have returned.
// Informers cannot be started twice, so each term makes new ones.
func (r *runner) lead(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	factory := informers.NewSharedInformerFactoryWithOptions(r.client, 0, informers.WithTransform(trim))
	for _, stored := range r.sources {
		factory.InformerFor(stored.Example, stored.newInformer)
	}
	controllers, err := r.controllers(factory)
	if err != nil {
		return err
	}
	if r.writeBack != nil {
		config := *r.writeBack
		config.Informers, config.Recorder = factory, r.recorder(writeback.Component)
		writer, err := writeback.New(config)
		if err != nil {
			return err
		}
		controllers = append(controllers, writer)
	}
	if r.garbageCollector != nil {
		config := *r.garbageCollector
		config.Recorder = r.recorder(garbagecollector.Component)
		controllers = append(controllers, garbagecollector.New(config))
	}
	started := time.Now()
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	defer cancel()
	if err := factory.WaitForCacheSyncWithContext(ctx).AsError(); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("syncing caches: %w", err)
	}
	klog.FromContext(ctx).Info("Started the controllers", "cacheSync", time.Since(started))
	var running sync.WaitGroup
	for _, c := range controllers {
		running.Go(func() { c.Run(ctx, r.options.Workers) })
	}
	running.Wait()
	return nil
}

// newInformer makes an informer that reads the store, without requests.
func (s Stored) newInformer(_ kubernetes.Interface, resync time.Duration) cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(source.ListWatch(s.Source), s.Example, resync,
		cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
}

func (r *runner) controllers(factory informers.SharedInformerFactory) ([]controller, error) {
	core := factory.Core().V1()
	index, err := selectors.NewIndex(core.Services().Informer(), core.Pods().Informer())
	if err != nil {
		return nil, err
	}
	endpoints, err := endpoint.New(endpoint.Config{
		Client: r.client, Informers: factory, Selectors: index, Recorder: r.recorder(endpoint.Component),
		BatchPeriod: r.options.BatchPeriod, Loopback: r.loopback,
	})
	if err != nil {
		return nil, err
	}
	slices, err := endpointslice.New(endpointslice.Config{
		Client: r.client, Informers: factory, Selectors: index, Recorder: r.recorder(endpointslice.Component),
		MaxEndpoints: r.options.MaxEndpointsPerSlice, BatchPeriod: r.options.BatchPeriod, Loopback: r.loopback, Unscheduled: r.unscheduled,
	})
	if err != nil {
		return nil, err
	}
	mirrors, err := endpointslicemirroring.New(endpointslicemirroring.Config{
		Client: r.client, Informers: factory, Recorder: r.recorder(endpointslicemirroring.Component),
		MaxEndpoints: r.options.MaxMirrored, BatchPeriod: r.options.BatchPeriod, Loopback: r.loopback,
	})
	if err != nil {
		return nil, err
	}
	controllers := []controller{endpoints, slices, mirrors}
	if r.ranges != nil {
		addresses, err := loadbalancer.New(loadbalancer.Config{
			Client: r.client, Ranges: r.ranges, Informers: factory, Recorder: r.recorder(loadbalancer.Component),
		})
		if err != nil {
			return nil, err
		}
		controllers = append(controllers, addresses)
	}
	if r.mirror == nil {
		return controllers, nil
	}
	config := *r.mirror
	config.Informers = factory
	cluster, err := mirror.New(config)
	return append(controllers, cluster), err
}

// trim returns Pods and Nodes without the fields that no controller reads. The cache holds
// every Pod and Node of the cluster, and most of each object is unused. An object may be
// shared with the watch cache of this process, so it is not changed.
func trim(obj any) (any, error) {
	switch o := obj.(type) {
	case *corev1.Pod:
		pod := &corev1.Pod{ObjectMeta: o.ObjectMeta}
		pod.ManagedFields, pod.Annotations, pod.OwnerReferences = nil, nil, nil
		pod.Spec = corev1.PodSpec{
			NodeName:       o.Spec.NodeName,
			Hostname:       o.Spec.Hostname,
			Subdomain:      o.Spec.Subdomain,
			Containers:     onlyPorts(o.Spec.Containers),
			InitContainers: onlyPorts(o.Spec.InitContainers),
		}
		pod.Status = corev1.PodStatus{
			Phase: o.Status.Phase, Conditions: o.Status.Conditions,
			PodIP: o.Status.PodIP, PodIPs: o.Status.PodIPs,
		}
		return pod, nil
	case *corev1.Node:
		node := &corev1.Node{ObjectMeta: o.ObjectMeta}
		node.ManagedFields, node.Annotations = nil, nil
		node.Status = corev1.NodeStatus{Allocatable: o.Status.Allocatable, Conditions: o.Status.Conditions}
		return node, nil
	}
	return obj, nil
}

// onlyPorts returns the containers up to the last one that has ports, so that each keeps its
// index, which errors about its ports name.
func onlyPorts(containers []corev1.Container) []corev1.Container {
	var kept []corev1.Container
	for i, container := range containers {
		if len(container.Ports) > 0 {
			kept = append(kept, make([]corev1.Container, i-len(kept))...)
			kept = append(kept, corev1.Container{Ports: container.Ports, RestartPolicy: container.RestartPolicy})
		}
	}
	return kept
}
