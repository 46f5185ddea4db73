//go:build e2e

package controllers

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/portolan-dev/portolan/pkg/controllers/portolanclient"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// quiet is how long nothing may change before upstream counts as done: its
// controllers wait for a second after a slice was changed by somebody else.
const quiet = 1500 * time.Millisecond

// sides are a cluster with kube-controller-manager's controllers, and a Portolan
// that has its Pods from that cluster. Its own clientset has those Pods as well.
type sides struct {
	t              testing.TB
	kube, portolan kubernetes.Interface
	server         *framework.Server
	kubeconfig     string
}

func program(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../../.bin", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// startCluster runs kube-apiserver, with the namespaces that are needed.
func startCluster(t testing.TB) *upstream.Server {
	t.Helper()
	programs := upstream.Programs{KubeAPIServer: program(t, "kube-apiserver"), Etcd: program(t, "etcd")}
	server, err := upstream.StartKube(t.Context(), programs, t.TempDir(), "--service-cluster-ip-range=10.97.0.0/16,fd00:10:97::/112")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	server.Config.QPS = -1
	client := kubernetes.NewForConfigOrDie(server.Config)
	for _, name := range []string{namespace, "portolan"} {
		if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
			metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, zone := range map[string]string{"node-a": "zone-a", "node-b": "zone-b"} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: zone}}}
		if _, err := client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return server
}

func startManager(t testing.TB, kubeconfig string) {
	t.Helper()
	manager, err := upstream.Launch("kube-controller-manager", t.TempDir(), program(t, "kube-controller-manager"),
		"--kubeconfig="+kubeconfig, "--secure-port=0", "--leader-elect=false", "--kube-api-qps=1000", "--kube-api-burst=1000",
		"--controllers=endpoints-controller,endpointslice-controller,endpointslice-mirroring-controller")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		manager.Stop()
		if t.Failed() {
			t.Log(manager.Explain(errors.New("kube-controller-manager was stopped")))
		}
	})
}

func startSides(t testing.TB) *sides {
	t.Helper()
	cluster := startCluster(t)
	startManager(t, cluster.Kubeconfig)
	server := framework.Start(t, func(o *options.Options) {
		o.ClusterIPRanges = []string{"10.96.0.0/16", "fd00:10:96::/112"}
		o.CoreAPI.CoreAPIKubeconfigPath = cluster.Kubeconfig
	})
	kube := kubernetes.NewForConfigOrDie(cluster.Config)
	portolan, err := portolanclient.New(kube, server.Config)
	if err != nil {
		t.Fatal(err)
	}
	return &sides{t: t, kube: kube, portolan: portolan, server: server, kubeconfig: cluster.Kubeconfig}
}

// both does the same to the Services or Endpoints of both sides.
func (s *sides) both(do func(ctx context.Context, client kubernetes.Interface) error) {
	s.t.Helper()
	for name, client := range map[string]kubernetes.Interface{"kube": s.kube, "portolan": s.portolan} {
		if err := do(s.t.Context(), client); err != nil {
			s.t.Fatalf("%s: %v", name, err)
		}
	}
}

// state is what Endpoints and slices are stored, with what is a server's own
// choice left out: as text, so that a difference can be read.
func state(t testing.TB, client kubernetes.Interface) string {
	t.Helper()
	var described []any
	endpoints, err := client.CoreV1().Endpoints(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range endpoints.Items {
		described = append(described, describeEndpoints(&endpoints.Items[i]))
	}
	slices, err := client.DiscoveryV1().EndpointSlices(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	described = append(described, describeSlices(slices.Items)...)
	text, err := yaml.Marshal(described)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// compare waits until upstream is done and Portolan has come to the same.
func (s *sides) compare(what string) {
	s.t.Helper()
	want := state(s.t, s.kube)
	since := time.Now()
	err := wait.PollUntilContextTimeout(s.t.Context(), 50*time.Millisecond, 2*patience, true, func(context.Context) (bool, error) {
		if now := state(s.t, s.kube); now != want {
			want, since = now, time.Now()
		}
		return time.Since(since) > quiet, nil
	})
	if err != nil {
		s.t.Fatalf("%s: kube-controller-manager does not come to rest: %v", what, err)
	}
	var got string
	err = wait.PollUntilContextTimeout(s.t.Context(), 50*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		got = state(s.t, s.portolan)
		return got == want, nil
	})
	if err != nil {
		s.t.Fatalf("%s: Portolan differs from kube-controller-manager:\n%s", what, difference(want, got))
	}
}

// eventually waits until something holds.
func (s *sides) eventually(what string, holds func() bool) {
	s.t.Helper()
	err := wait.PollUntilContextTimeout(s.t.Context(), 20*time.Millisecond, patience, true,
		func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		s.t.Fatalf("%s: %v; stored is\n%s", what, err, state(s.t, s.portolan))
	}
}

// count is how many endpoints in a Service's slices at Portolan are ready, or
// aren't.
func (s *sides) count(service string, ready bool) int {
	s.t.Helper()
	list, err := s.portolan.DiscoveryV1().EndpointSlices(namespace).List(s.t.Context(),
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		s.t.Fatal(err)
	}
	count := 0
	for _, slice := range list.Items {
		for _, endpoint := range slice.Endpoints {
			if *endpoint.Conditions.Ready == ready {
				count++
			}
		}
	}
	return count
}

func (s *sides) createPod(name string, labels map[string]string, change func(*corev1.Pod)) {
	s.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels},
		Spec:       corev1.PodSpec{NodeName: "node-a", Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	if change != nil {
		change(pod)
	}
	if _, err := s.kube.CoreV1().Pods(namespace).Create(s.t.Context(), pod, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// setStatus does what a kubelet would.
func (s *sides) setStatus(name string, ready corev1.ConditionStatus, phase corev1.PodPhase, ips ...string) {
	s.t.Helper()
	pod, err := s.kube.CoreV1().Pods(namespace).Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	pod.Status.Phase = phase
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.Now()}}
	if len(ips) > 0 {
		pod.Status.PodIP, pod.Status.PodIPs = ips[0], nil
		for _, ip := range ips {
			pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: ip})
		}
	}
	if _, err := s.kube.CoreV1().Pods(namespace).UpdateStatus(s.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sides) patchPod(name, patch string) {
	s.t.Helper()
	if _, err := s.kube.CoreV1().Pods(namespace).Patch(s.t.Context(), name, mergePatch, []byte(patch), metav1.PatchOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sides) deletePod(name string, grace int64) {
	s.t.Helper()
	if err := s.kube.CoreV1().Pods(namespace).Delete(s.t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &grace}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sides) createService(name string, change func(*corev1.Service)) {
	s.t.Helper()
	s.both(func(ctx context.Context, client kubernetes.Interface) error {
		ours := framework.NewService(namespace, name, nil)
		service := &corev1.Service{ObjectMeta: ours.ObjectMeta, Spec: ours.Spec}
		if change != nil {
			change(service)
		}
		_, err := client.CoreV1().Services(namespace).Create(ctx, service, metav1.CreateOptions{})
		return err
	})
}

func (s *sides) patchService(name, patch string) {
	s.t.Helper()
	s.both(func(ctx context.Context, client kubernetes.Interface) error {
		_, err := client.CoreV1().Services(namespace).Patch(ctx, name, mergePatch, []byte(patch), metav1.PatchOptions{})
		return err
	})
}

func (s *sides) deleteService(name string) {
	s.t.Helper()
	s.both(func(ctx context.Context, client kubernetes.Interface) error {
		return client.CoreV1().Services(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	})
	// No garbage collector runs beside kube-apiserver here.
	if err := s.kube.DiscoveryV1().EndpointSlices(namespace).DeleteCollection(s.t.Context(), metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name}); err != nil {
		s.t.Fatal(err)
	}
}
