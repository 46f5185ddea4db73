package framework

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// Controllers of kube-controller-manager.
const (
	// EndpointControllers make Endpoints and EndpointSlices.
	EndpointControllers = "endpoints-controller,endpointslice-controller,endpointslice-mirroring-controller"
	// DeletionControllers delete what a namespace or an owner takes with it.
	DeletionControllers = "namespace-controller,garbage-collector-controller"
)

// StartKube runs kube-apiserver on an etcd of its own until the test ends. The
// administrator's Config has no limit on its rate. Flags win over those that
// kube-apiserver needs.
func StartKube(t testing.TB, flags ...string) *upstream.Server {
	t.Helper()
	programs := upstream.Programs{KubeAPIServer: Program(t, "kube-apiserver"), Etcd: Program(t, "etcd")}
	kube, err := upstream.StartKube(t.Context(), programs, t.TempDir(), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kube.Stop)
	kube.Config.QPS = -1
	return kube
}

// StartControllers runs kube-controller-manager with some of its controllers
// until the test ends. If the endpoints controller is among them, it has deleted
// the Endpoints that have no Service, which it does once, at its start: those
// that the test creates stay.
func StartControllers(t testing.TB, kube *upstream.Server, controllers ...string) *upstream.Process {
	t.Helper()
	awaitStart := func() {}
	if slices.Contains(controllers, EndpointControllers) {
		awaitStart = leaveEndpoints(t, kube)
	}
	p := Launch(t, t.TempDir(), "kube-controller-manager",
		"--kubeconfig="+kube.Kubeconfig, "--secure-port=0", "--leader-elect=false", "--kube-api-qps=1000", "--kube-api-burst=1000",
		"--controllers="+strings.Join(controllers, ","))
	awaitStart()
	return p
}

// leaveEndpoints creates Endpoints without a Service and returns a function that
// waits until the endpoints controller has deleted them.
func leaveEndpoints(t testing.TB, kube *upstream.Server) (awaitDeletion func()) {
	t.Helper()
	client, err := kubernetes.NewForConfig(kube.Config)
	if err != nil {
		t.Fatal(err)
	}
	const namespace, name = metav1.NamespaceDefault, "left-over"
	Eventually(t, "create Endpoints without a Service", func(ctx context.Context) (bool, error) {
		endpoints := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: name}}
		_, err := client.CoreV1().Endpoints(namespace).Create(ctx, endpoints, metav1.CreateOptions{})
		return err == nil || apierrors.IsAlreadyExists(err), err
	})
	return func() {
		t.Helper()
		Eventually(t, "the endpoints controller deletes Endpoints without a Service", func(ctx context.Context) (bool, error) {
			_, err := client.CoreV1().Endpoints(namespace).Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err), err
		})
	}
}

// Launch runs a program of .bin in a directory until the test ends. If the test
// fails, it shows the end of the program's log.
func Launch(t testing.TB, dir, name string, args ...string) *upstream.Process {
	t.Helper()
	return LaunchCommand(t, dir, name, exec.Command(Program(t, name), args...))
}

// LaunchCommand is Launch for a command with an environment of its own, or for a
// program that has several logs in a directory.
func LaunchCommand(t testing.TB, dir, name string, command *exec.Cmd) *upstream.Process {
	t.Helper()
	p, err := upstream.LaunchCommand(name, dir, command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Log(p.Explain(errors.New(name + " was stopped")))
		}
	})
	return p
}
