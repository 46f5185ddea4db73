// Package kubernetesservice maintains the Service kubernetes of the namespace default,
// through which Pods find the API server, and its Endpoints and EndpointSlices. A
// kube-apiserver does the same (pkg/controlplane/controller/kubernetesservice). A
// standalone server runs it, and a gateway that is to take the place of kube-apiserver for
// Pods.
//
// The endpoints are the running servers. Each server maintains a key in etcd with its
// address and port. The key has a lease, so etcd deletes it after the server has
// stopped. Each server watches all keys and writes the endpoints of all servers. So
// all write the same, and nothing if it is already stored. Users can't write the
// keys.
//
// A server that listens only on loopback has no key, because others can't reach it.
// If there are no keys, the endpoints stay as they are, as upstream's do.
package kubernetesservice

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
)

const (
	// name is the name of the Service, its Endpoints and its first EndpointSlice.
	name = "kubernetes"

	// period is how often everything is checked. A failure is retried after
	// firstRetry, then after twice as long each time, up to lastRetry.
	period     = 10 * time.Second
	firstRetry = time.Second
	lastRetry  = time.Minute
	// stopTimeout limits how long a stopping server takes to remove its address.
	stopTimeout = 5 * time.Second
)

// Config configures Run.
type Config struct {
	// Client is a client of the server itself, for the core API groups.
	Client kubernetes.Interface
	// Events is a client of where Events are recorded.
	Events kubernetes.Interface
	Etcd   *clientv3.Client
	// Prefix is the server's --etcd-prefix.
	Prefix string
	// Address is the address at which others reach the server. It is invalid if they
	// can't.
	Address netip.Addr
	Port    int
	// Check is called with the Service's cluster IP whenever everything has been checked.
	// It may be nil.
	Check func(ctx context.Context, clusterIP string)
}

// errConflict means that another server wrote the object first.
var errConflict = errors.New("another server wrote first")

// Run maintains the Service until ctx ends, and then removes the server's own address.
func Run(ctx context.Context, c Config) {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: c.Events.CoreV1().Events("")})
	failures := failures{recorder: broadcaster.NewRecorder(clientgoscheme.Scheme, corev1.EventSource{Component: "portolan"})}

	finishing, cancel := reconcile.Finishing(ctx)
	defer cancel()
	var session *concurrency.Session
	var changes clientv3.WatchChan
	for ctx.Err() == nil {
		if changes == nil {
			changes = c.watch(ctx)
		}
		var err error
		if session, err = c.announce(ctx, session); err == nil {
			err = c.reconcile(finishing)
		}
		var lost <-chan struct{}
		if session != nil {
			lost = session.Done()
		}
		select {
		case <-ctx.Done():
		case <-lost:
		case _, open := <-changes:
			if !open {
				changes = nil
			}
		case <-time.After(failures.next(ctx, err)):
		}
	}
	if session == nil {
		return
	}
	ctx, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancelLast()
	if err := errors.Join(session.Close(), c.reconcile(ctx)); err != nil && !errors.Is(err, errConflict) {
		klog.FromContext(ctx).Error(err, "The server's endpoints stay until its lease expires")
	}
}

// reconcile writes the objects that differ from what they should be.
func (c Config) reconcile(ctx context.Context) error {
	all, err := c.servers(ctx)
	if err != nil {
		return err
	}
	service, err := c.keepService(ctx, all)
	if err != nil {
		return fmt.Errorf("the Service: %w", markConflict(err))
	}
	family, err := netip.ParseAddr(service.Spec.ClusterIP)
	if err != nil {
		return fmt.Errorf("the Service has no cluster IP: %w", err)
	}
	if c.Check != nil {
		c.Check(ctx, service.Spec.ClusterIP)
	}
	return errors.Join(markConflict(c.keepEndpoints(ctx, family.Is4())), markConflict(c.keepSlices(ctx, family.Is4())))
}

// markConflict wraps errConflict around errors which mean that another server wrote
// the object.
func markConflict(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("%w: %w", errConflict, err)
	}
	return err
}

// failures determines the delay after failed attempts. It logs and records each reason
// once.
type failures struct {
	recorder record.EventRecorder
	reason   string
	retry    time.Duration
}

func (f *failures) next(ctx context.Context, err error) time.Duration {
	if err == nil {
		f.reason, f.retry = "", 0
		return period
	}
	f.retry = min(max(firstRetry, 2*f.retry), lastRetry)
	if errors.Is(err, errConflict) {
		f.retry = firstRetry
		return f.retry
	}
	// The first failure is not reported: the range may not exist yet.
	if reason := err.Error(); reason != f.reason && f.retry > firstRetry && ctx.Err() == nil {
		f.reason = reason
		klog.FromContext(ctx).Info("Maintaining the Service of the API server failed, retrying with backoff",
			"service", klog.KRef(metav1.NamespaceDefault, name), "reason", reason)
		f.recorder.Event(&corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: metav1.NamespaceDefault, Name: name},
			corev1.EventTypeWarning, "ServiceNotKept", reason)
	}
	return f.retry
}
