// Package gatewayapi runs a small controller of Gateway API on a standalone server. It is made
// with controller-runtime, as most controllers of custom resources are: with a cache, leader
// election, finalizers and status updates.
package gatewayapi

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

const finalizer = "example.com/service"

// definitions is the folder of the module with the CustomResourceDefinitions.
func definitions(t *testing.T) string {
	t.Helper()
	return filepath.Join(framework.Module(t, "sigs.k8s.io/gateway-api", "test", "ecosystem", "gatewayapi"), "config", "crd", "standard")
}

// TestController has the controller make a Service for a Gateway and report it. The next
// leader deletes the Service before the Gateway is gone.
func TestController(t *testing.T) {
	s := framework.StartAll(t, nil)
	kubectl := framework.NewKubectl(t, s.Kubeconfig)
	files, err := filepath.Glob(filepath.Join(definitions(t), "*_gateway*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found no definitions, error %v", err)
	}
	for _, file := range files {
		kubectl.Run("apply", "--server-side", "-f", file)
	}
	kubectl.Run("wait", "--for=condition=Established", "--timeout=180s", "crd/gateways.gateway.networking.k8s.io",
		"crd/gatewayclasses.gateway.networking.k8s.io")
	kubectl.Expect(kubectl.Run("explain", "gateway.spec.gatewayClassName"), "KIND:       Gateway", "FIELD: gatewayClassName <string>")

	stop := start(t, s)
	c, err := client.New(s.Config, client.Options{Scheme: newScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	class := &gatewayv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: "example"}, Spec: gatewayv1.GatewayClassSpec{ControllerName: "example.com/controller"},
	}
	if err := c.Create(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	gateway := &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: "example", Listeners: []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}},
		},
	}
	if err := c.Create(t.Context(), gateway); err != nil {
		t.Fatal(err)
	}
	key := client.ObjectKeyFromObject(gateway)
	framework.Eventually(t, "the Gateway is programmed", func(ctx context.Context) (bool, error) {
		if err := c.Get(ctx, key, gateway); err != nil {
			return false, err
		}
		done := meta.IsStatusConditionTrue(gateway.Status.Conditions, string(gatewayv1.GatewayConditionProgrammed))
		return done, fmt.Errorf("its status is %+v", gateway.Status)
	})
	var service corev1.Service
	if err := c.Get(t.Context(), key, &service); err != nil {
		t.Fatal(err)
	}
	if len(gateway.Status.Addresses) != 1 || gateway.Status.Addresses[0].Value != service.Spec.ClusterIP {
		t.Errorf("the Gateway has the addresses %+v, and its Service %s", gateway.Status.Addresses, service.Spec.ClusterIP)
	}
	kubectl.Expect(kubectl.Run("get", "gateways"), "web", "example", service.Spec.ClusterIP, "True")

	stop()
	start(t, s)
	if err := c.Delete(t.Context(), gateway); err != nil {
		t.Fatal(err)
	}
	framework.Eventually(t, "the Gateway is gone", func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, key, gateway)
		return apierrors.IsNotFound(err), err
	})
	if err := c.Get(t.Context(), key, &service); !apierrors.IsNotFound(err) {
		t.Errorf("its Service is left: %v", err)
	}
}

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, gatewayv1.Install} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// start runs the controller until stop is called, at the latest when the test ends.
func start(t *testing.T, s *framework.Server) (stop func()) {
	t.Helper()
	log.SetLogger(klog.Background())
	manager, err := ctrl.NewManager(s.Config, ctrl.Options{
		Scheme: newScheme(t), Metrics: metricsserver.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: "gateways.example.com", LeaderElectionNamespace: "kube-system",
		LeaderElectionReleaseOnCancel: true,
		// The process runs the controller twice.
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := ctrl.NewControllerManagedBy(manager).For(&gatewayv1.Gateway{}).Owns(&corev1.Service{}).
		Complete(&reconciler{manager.GetClient(), manager.GetScheme()}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the controller ended with: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// reconciler makes a Service for each Gateway.
type reconciler struct {
	client client.Client
	scheme *runtime.Scheme
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var gateway gatewayv1.Gateway
	if err := r.client.Get(ctx, request.NamespacedName, &gateway); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: gateway.Name}}
	if !gateway.DeletionTimestamp.IsZero() {
		if err := r.client.Delete(ctx, service); client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, err
		}
		if controllerutil.RemoveFinalizer(&gateway, finalizer) {
			return ctrl.Result{}, r.client.Update(ctx, &gateway)
		}
		return ctrl.Result{}, nil
	}
	if controllerutil.AddFinalizer(&gateway, finalizer) {
		return ctrl.Result{}, r.client.Update(ctx, &gateway)
	}
	if _, err := controllerutil.CreateOrUpdate(ctx, r.client, service, func() error {
		service.Spec.Ports = nil
		for _, listener := range gateway.Spec.Listeners {
			service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{
				Name: string(listener.Name), Port: listener.Port, Protocol: corev1.ProtocolTCP,
			})
		}
		return controllerutil.SetControllerReference(&gateway, service, r.scheme)
	}); err != nil {
		return ctrl.Result{}, err
	}
	gateway.Status.Addresses = []gatewayv1.GatewayStatusAddress{{Type: ptr.To(gatewayv1.IPAddressType), Value: service.Spec.ClusterIP}}
	changed := meta.SetStatusCondition(&gateway.Status.Conditions, metav1.Condition{
		Type: string(gatewayv1.GatewayConditionProgrammed), Status: metav1.ConditionTrue, Reason: string(gatewayv1.GatewayReasonProgrammed),
		ObservedGeneration: gateway.Generation,
	})
	if !changed {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, r.client.Status().Update(ctx, &gateway)
}
