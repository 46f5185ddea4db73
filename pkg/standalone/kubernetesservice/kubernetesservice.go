// Package kubernetesservice keeps the Service kubernetes of the namespace default, by
// which Pods find the API server, and its Endpoints and EndpointSlices, as a
// kube-apiserver does (pkg/controlplane/controller/kubernetesservice).
//
// The endpoints are the servers that run. Each keeps a key in etcd with its
// address and port, which etcd removes when the server has been silent for a
// while. Each watches the keys of all and writes the endpoints of all, so that
// every server writes the same, and nothing if that is stored already. Users
// can't write the keys.
//
// A server that listens on loopback alone has no key, since nobody else could
// reach it. When there is no key left, the endpoints stay as they are, as
// upstream's do.
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
)

const (
	// name is the Service's, its Endpoints' and its EndpointSlice's.
	name = "kubernetes"

	// period is how often everything is checked again. A failure is retried after
	// firstRetry, then after twice as long each time, up to lastRetry.
	period     = 10 * time.Second
	firstRetry = time.Second
	lastRetry  = time.Minute
	// stopTimeout bounds what a server does when it stops.
	stopTimeout = 5 * time.Second
)

// Config says what is kept.
type Config struct {
	// Client is a client of the server itself, for the core API groups.
	Client kubernetes.Interface
	Etcd   *clientv3.Client
	// Prefix is that of the server's --etcd-prefix.
	Prefix string
	// Address is where others reach the server; it is not valid if they don't.
	Address netip.Addr
	Port    int
}

// errQuicker says that another replica wrote the same object first.
var errQuicker = errors.New("another server was quicker")

// Run keeps the Service until the context ends. Then it removes the server's own
// address.
func Run(ctx context.Context, c Config) {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: c.Client.CoreV1().Events("")})
	failures := failures{recorder: broadcaster.NewRecorder(clientgoscheme.Scheme, corev1.EventSource{Component: "portolan"})}

	var told *concurrency.Session
	var changes clientv3.WatchChan
	for ctx.Err() == nil {
		if changes == nil {
			changes = c.watch(ctx)
		}
		var err error
		if told, err = c.tell(ctx, told); err == nil {
			err = c.reconcile(ctx)
		}
		var lost <-chan struct{}
		if told != nil {
			lost = told.Done()
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
	if told == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := errors.Join(told.Close(), c.reconcile(ctx)); err != nil && !errors.Is(err, errQuicker) {
		klog.FromContext(ctx).Error(err, "The endpoints of the server stay until its lease is over")
	}
}

// reconcile makes the objects what they should be.
func (c Config) reconcile(ctx context.Context) error {
	all, err := c.servers(ctx)
	if err != nil {
		return err
	}
	service, err := c.keepService(ctx, all)
	if err != nil {
		return fmt.Errorf("the Service: %w", quicker(err))
	}
	family, err := netip.ParseAddr(service.Spec.ClusterIP)
	if err != nil {
		return fmt.Errorf("the Service has no cluster IP: %w", err)
	}
	return errors.Join(quicker(c.keepEndpoints(ctx, family.Is4())), quicker(c.keepSlices(ctx, family.Is4())))
}

// quicker marks errors that only say that another server wrote the object.
func quicker(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("%w: %w", errQuicker, err)
	}
	return err
}

// failures says how long to wait after attempts that failed, and logs and records
// each reason once.
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
	if errors.Is(err, errQuicker) {
		f.retry = firstRetry
		return f.retry
	}
	// The first attempt may be too early: the range may not be there yet.
	if reason := err.Error(); reason != f.reason && f.retry > firstRetry && ctx.Err() == nil {
		f.reason = reason
		klog.FromContext(ctx).Info("The Service of the server can't be kept; trying again, less and less often",
			"service", klog.KRef(metav1.NamespaceDefault, name), "reason", reason)
		f.recorder.Event(&corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: metav1.NamespaceDefault, Name: name},
			corev1.EventTypeWarning, "ServiceNotKept", reason)
	}
	return f.retry
}
