// Package controllers runs what keeps Endpoints and EndpointSlices in line with
// Services and Pods: three controllers, in one of the processes that could. With
// a cluster a Lease of the cluster decides in which, without one a key in etcd
// that users can't write.
//
//	cluster    Pods, Nodes ─────┐
//	                            ├─→ endpoint       ─→ Endpoints
//	Portolan   Services ────────┼─→ endpointslice  ─→ EndpointSlices
//	           Endpoints ───────┴─→ mirroring      ─→ EndpointSlices
//
// The packages below it: overlay is the clientset that makes the two sources one;
// loop is a queue and its workers; membership finds the Services of a Pod, and
// managed the slices of a Service; endpoint, endpointslice and mirroring are the
// controllers. What Endpoints hold is worked out in pkg/controllers/rules and what slices
// hold in k8s.io/endpointslice, both without any I/O.
//
// A change is written once: a cache that has yet to see what was written is
// waited for, and what would write the same again isn't written.
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
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/controllers/endpoint"
	"github.com/portolan-dev/portolan/pkg/controllers/endpointslice"
	"github.com/portolan-dev/portolan/pkg/controllers/mirroring"
	"github.com/portolan-dev/portolan/pkg/controllers/portolanclient"
	"github.com/portolan-dev/portolan/pkg/controllers/selectors"
)

// Config is what the controllers work with.
type Config struct {
	// Cluster has the Pods, the Nodes and the Lease, and events are recorded there.
	Cluster kubernetes.Interface
	// Portolan leads to where Services, Endpoints and EndpointSlices are served as
	// portolan.dev/v1. It is nil where they are Cluster's own, under upstream's
	// names.
	Portolan *rest.Config
	// Unscheduled takes Pods that name no node as well, where nobody schedules
	// them.
	Unscheduled bool
	// Loopback are the networks of loopback that the server accepts in endpoints.
	Loopback []netip.Prefix
	// Lock makes what decides which process runs the controllers. Nil is for the
	// Lease that the options name. Otherwise that Lease is what earlier releases
	// elect by.
	Lock func(identity string) resourcelock.Interface
	// Leadership is told which process that is. It may be nil.
	Leadership *Leadership
	Options    *Options
}

// Run runs the controllers until the context ends: whenever this process has
// the lock, or all the time without leader election. It returns when all that
// was begun is done and the lock is released.
func Run(ctx context.Context, c Config) error {
	client, scheme, err := c.client()
	if err != nil {
		return err
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartStructuredLogging(3)
	broadcaster.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: c.Cluster.CoreV1().Events("")})
	r := runner{client: client, options: c.Options, unscheduled: c.Unscheduled, loopback: c.Loopback, broadcaster: broadcaster, scheme: scheme}

	identity, err := newIdentity()
	if err != nil {
		return err
	}
	lead := func(ctx context.Context) {
		if err := r.lead(ctx); err != nil {
			klog.FromContext(ctx).Error(err, "The controllers can't run")
		}
	}
	leadership := cmp.Or(c.Leadership, NewLeadership())
	config := c.Options.LeaderElection
	if !config.LeaderElect {
		leadership.runAlone(ctx, identity, lead)
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
	lock = &checkedLock{Interface: lock, able: r.able, timeout: config.RenewDeadline.Duration, leadership: leadership}
	election := election{config: config, lock: lock, leadership: leadership}
	return election.run(ctx, lead)
}

// client is what the controllers read and write with, and the scheme tells what
// the kinds are called there.
func (c Config) client() (kubernetes.Interface, *runtime.Scheme, error) {
	if c.Portolan == nil {
		return c.Cluster, clientgoscheme.Scheme, nil
	}
	client, err := portolanclient.New(c.Cluster, c.Portolan)
	return client, portolanclient.NewScheme(), err
}

type runner struct {
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

// able reads a Service by way of the server, which reads it from etcd. A process
// that can't do so must not lead, although it may well reach the lock.
func (r *runner) able(ctx context.Context) error {
	_, err := r.client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("services can't be read: %w", err)
	}
	return nil
}

// controller is one of the controllers.
type controller interface {
	Run(ctx context.Context, workers int)
}

// lead runs the controllers until the context ends, and returns when they have.
// Informers can't be started twice, so each term has its own.
func (r *runner) lead(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	factory := informers.NewSharedInformerFactoryWithOptions(r.client, 0, informers.WithTransform(trim))
	controllers, err := r.controllers(factory)
	if err != nil {
		return err
	}
	started := time.Now()
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	defer cancel()
	if err := factory.WaitForCacheSyncWithContext(ctx).AsError(); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("caches: %w", err)
	}
	klog.FromContext(ctx).Info("The controllers run", "cachesTook", time.Since(started))
	var running sync.WaitGroup
	for _, c := range controllers {
		running.Go(func() { c.Run(ctx, r.options.Workers) })
	}
	running.Wait()
	return nil
}

func (r *runner) controllers(factory informers.SharedInformerFactory) ([]controller, error) {
	core := factory.Core().V1()
	index, err := selectors.NewIndex(core.Services().Informer(), core.Pods().Informer())
	if err != nil {
		return nil, err
	}
	endpoints, err := endpoint.New(endpoint.Config{
		Client: r.client, Informers: factory, Membership: index, Recorder: r.recorder(endpoint.Component),
		BatchPeriod: r.options.BatchPeriod, Loopback: r.loopback,
	})
	if err != nil {
		return nil, err
	}
	slices, err := endpointslice.New(endpointslice.Config{
		Client: r.client, Informers: factory, Membership: index, Recorder: r.recorder(endpointslice.Component),
		MaxEndpoints: r.options.MaxEndpointsPerSlice, BatchPeriod: r.options.BatchPeriod, Loopback: r.loopback, Unscheduled: r.unscheduled,
	})
	if err != nil {
		return nil, err
	}
	mirrors, err := mirroring.New(mirroring.Config{
		Client: r.client, Informers: factory, Recorder: r.recorder(mirroring.Component),
		MaxEndpoints: r.options.MaxMirrored, BatchPeriod: r.options.BatchPeriod, Loopback: r.loopback,
	})
	return []controller{endpoints, slices, mirrors}, err
}

// trim drops from Pods and Nodes what no controller looks at, which is most of
// them: the cache has all of the cluster.
func trim(obj any) (any, error) {
	switch o := obj.(type) {
	case *corev1.Pod:
		o.ManagedFields, o.Annotations, o.OwnerReferences = nil, nil, nil
		o.Spec = corev1.PodSpec{
			NodeName:       o.Spec.NodeName,
			Hostname:       o.Spec.Hostname,
			Subdomain:      o.Spec.Subdomain,
			Containers:     onlyPorts(o.Spec.Containers),
			InitContainers: onlyPorts(o.Spec.InitContainers),
		}
		o.Status = corev1.PodStatus{
			Phase: o.Status.Phase, Conditions: o.Status.Conditions,
			PodIP: o.Status.PodIP, PodIPs: o.Status.PodIPs,
		}
	case *corev1.Node:
		o.ManagedFields, o.Annotations = nil, nil
		o.Spec = corev1.NodeSpec{}
		o.Status = corev1.NodeStatus{Allocatable: o.Status.Allocatable, Conditions: o.Status.Conditions}
	}
	return obj, nil
}

func onlyPorts(containers []corev1.Container) []corev1.Container {
	var kept []corev1.Container
	for _, container := range containers {
		if len(container.Ports) > 0 {
			kept = append(kept, corev1.Container{Ports: container.Ports, RestartPolicy: container.RestartPolicy})
		}
	}
	return kept
}
