//go:build e2e

package controllers

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/controllers/portolanclient"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// launch runs portolan controllers in a process of its own, with a short lease.
// Health and metrics are served at the address.
func (f *fixture) launch(name string) (process *upstream.Process, address string) {
	f.t.Helper()
	address = "127.0.0.1:" + framework.FreePort(f.t)
	process = framework.LaunchCommand(f.t, f.t.TempDir(), name, framework.Portolan(f.t, "controllers",
		"--kubeconfig="+f.kubeconfig, "--portolan-kubeconfig="+f.server.Kubeconfig, "--http-address="+address,
		"--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=200ms"))
	if err := process.Await(f.t.Context(), func(ctx context.Context) bool { return get(ctx, address, "/readyz") == "ok" }); err != nil {
		f.t.Fatal(err)
	}
	return process, address
}

// get returns the body of an answer, or "" if the request fails.
func get(ctx context.Context, address, path string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return ""
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// holder returns the holder of the lease, or "" if there is none.
func (f *fixture) holder() string {
	lease, err := f.kube.CoordinationV1().Leases("portolan").Get(f.t.Context(), "portolan-controllers", metav1.GetOptions{})
	if err != nil {
		return ""
	}
	return ptr.Deref(lease.Spec.HolderIdentity, "")
}

// TestFailover runs the controllers in two processes beside one cluster. It
// kills the one that holds the lease, and then terminates the next.
func TestFailover(t *testing.T) {
	t.Parallel()
	cluster := startCluster(t)
	server := framework.Start(t, nil)
	framework.CreateNamespace(t, server.Config, namespace)
	kube := kubernetes.NewForConfigOrDie(cluster.Config)
	portolan, err := portolanclient.New(kube, server.Config)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, kube: kube, portolan: portolan, server: server, kubeconfig: cluster.Kubeconfig}
	if _, err := server.Client.PortolanV1().Services(namespace).Create(t.Context(), framework.NewService(namespace, "web", nil),
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.createPod("a", map[string]string{"app": "web"}, nil)

	first, _ := f.launch("first")
	f.eventually("the first leads", func() bool { return f.holder() != "" })
	a := f.holder()
	second, address := f.launch("second")
	f.setStatus("a", yes, running, "10.1.0.1")
	f.eventually("ready", func() bool { return f.count("web", true) == 1 })

	first.Stop()
	f.setStatus("a", no, running)
	f.eventually("not ready", func() bool { return f.count("web", false) == 1 })
	if b := f.holder(); b == "" || b == a {
		t.Errorf("%q has the lease after %q was killed", b, a)
	}
	if metrics := get(t.Context(), address, "/metrics"); !strings.Contains(metrics, `endpoint_slice_controller_syncs{result="success"}`) {
		t.Errorf("the second counts no syncs:\n%.2000s", metrics)
	}

	ctx, cancel := context.WithTimeout(t.Context(), framework.Patience)
	defer cancel()
	if err := second.Terminate(ctx); err != nil {
		t.Fatal(err)
	}
	if holder := f.holder(); holder != "" {
		t.Errorf("%s has ended and still has the lease", holder)
	}
	f.launch("third")
	f.setStatus("a", yes, running)
	f.eventually("ready again", func() bool { return f.count("web", true) == 1 })
}
