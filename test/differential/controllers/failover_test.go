//go:build e2e

package controllers

import (
	"context"
	"fmt"
	"io"
	"net"
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

// launch runs portolan controllers as a process of its own, with a short lease.
// The address is where it tells of itself.
func (s *sides) launch(name string) (process *upstream.Process, address string) {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	address = listener.Addr().String()
	if err := listener.Close(); err != nil {
		s.t.Fatal(err)
	}
	process, err = upstream.LaunchCommand(name, s.t.TempDir(), framework.Portolan(s.t, "controllers",
		"--kubeconfig="+s.kubeconfig, "--portolan-kubeconfig="+s.server.Kubeconfig, "--http-address="+address,
		"--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=200ms"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		process.Stop()
		if s.t.Failed() {
			s.t.Log(process.Explain(fmt.Errorf("%s was stopped", name)))
		}
	})
	if err := process.Await(s.t.Context(), func(ctx context.Context) bool { return get(ctx, address, "/readyz") == "ok" }); err != nil {
		s.t.Fatal(err)
	}
	return process, address
}

// get is what a process answers, empty if it doesn't.
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

// holder is who has the lease, empty if nobody has.
func (s *sides) holder() string {
	lease, err := s.kube.CoordinationV1().Leases("portolan").Get(s.t.Context(), "portolan-controllers", metav1.GetOptions{})
	if err != nil {
		return ""
	}
	return ptr.Deref(lease.Spec.HolderIdentity, "")
}

// TestFailover runs the controllers in two processes of their own beside one
// cluster. The one that has the lease is killed, then the next is asked to end.
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
	s := &sides{t: t, kube: kube, portolan: portolan, server: server, kubeconfig: cluster.Kubeconfig}
	if _, err := server.Client.PortolanV1().Services(namespace).Create(t.Context(), framework.NewService(namespace, "web", nil),
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.createPod("a", map[string]string{"app": "web"}, nil)

	first, _ := s.launch("first")
	s.eventually("the first leads", func() bool { return s.holder() != "" })
	a := s.holder()
	second, address := s.launch("second")
	s.setStatus("a", yes, running, "10.1.0.1")
	s.eventually("ready", func() bool { return s.count("web", true) == 1 })

	first.Stop()
	s.setStatus("a", no, running)
	s.eventually("not ready", func() bool { return s.count("web", false) == 1 })
	if b := s.holder(); b == "" || b == a {
		t.Errorf("%q has the lease after %q was killed", b, a)
	}
	if metrics := get(t.Context(), address, "/metrics"); !strings.Contains(metrics, `endpoint_slice_controller_syncs{result="success"}`) {
		t.Errorf("the second tells nothing of its work:\n%.2000s", metrics)
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := second.Terminate(ctx); err != nil {
		t.Fatal(err)
	}
	if holder := s.holder(); holder != "" {
		t.Errorf("%s has ended and still has the lease", holder)
	}
	s.launch("third")
	s.setStatus("a", yes, running)
	s.eventually("ready again", func() bool { return s.count("web", true) == 1 })
}
