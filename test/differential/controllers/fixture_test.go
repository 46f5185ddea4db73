//go:build e2e

package controllers

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/portolan-dev/portolan/pkg/controllers/portolanclient"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// quiet is how long upstream's state must stay the same to count as final. Its
// controllers wait for a second after a foreign write to a slice.
const quiet = 1500 * time.Millisecond

// fixture is a cluster with kube-controller-manager's controllers, and a
// Portolan that reads the Pods of that cluster. Both clients read these Pods.
type fixture struct {
	t              testing.TB
	kube, portolan kubernetes.Interface
	server         *framework.Server
	kubeconfig     string
}

// startCluster runs kube-apiserver, with the namespaces and nodes that tests
// need.
func startCluster(t testing.TB) *upstream.Server {
	t.Helper()
	server := framework.StartKube(t, "--service-cluster-ip-range=10.97.0.0/16,fd00:10:97::/112")
	for _, name := range []string{namespace, "portolan"} {
		framework.CreateNamespace(t, server.Config, name)
	}
	client := kubernetes.NewForConfigOrDie(server.Config)
	for name, zone := range map[string]string{"node-a": "zone-a", "node-b": "zone-b"} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: zone}}}
		if _, err := client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return server
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	cluster := startCluster(t)
	framework.StartControllers(t, cluster, framework.EndpointControllers)
	server := framework.Start(t, func(o *options.Options) {
		o.ClusterIPRanges = []string{"10.96.0.0/16", "fd00:10:96::/112"}
		o.CoreAPI.CoreAPIKubeconfigPath = cluster.Kubeconfig
	})
	kube := kubernetes.NewForConfigOrDie(cluster.Config)
	portolan, err := portolanclient.New(kube, server.Config)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{t: t, kube: kube, portolan: portolan, server: server, kubeconfig: cluster.Kubeconfig}
}

// both calls a function with the client of each server.
func (f *fixture) both(do func(ctx context.Context, client kubernetes.Interface) error) {
	f.t.Helper()
	for name, client := range map[string]kubernetes.Interface{"kube": f.kube, "portolan": f.portolan} {
		if err := do(f.t.Context(), client); err != nil {
			f.t.Fatalf("%s: %v", name, err)
		}
	}
}

// state describes the stored Endpoints and slices as text, without what each
// server chooses.
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

// compare waits until kube-controller-manager has finished and Portolan's state
// is the same. Under load it may have paused before, so its state is read
// again.
func (f *fixture) compare(what string) {
	f.t.Helper()
	want := state(f.t, f.kube)
	since := time.Now()
	framework.Eventually(f.t, what+": Portolan's state is that of kube-controller-manager", func(context.Context) (bool, error) {
		if now := state(f.t, f.kube); now != want {
			want, since = now, time.Now()
		}
		if time.Since(since) <= quiet {
			return false, errors.New("kube-controller-manager has not finished")
		}
		got := state(f.t, f.portolan)
		return got == want, fmt.Errorf("they differ:\n%s", difference(want, got))
	})
}

// eventually waits until a condition holds.
func (f *fixture) eventually(what string, holds func() bool) {
	f.t.Helper()
	if err := framework.Poll(f.t.Context(), func(context.Context) (bool, error) { return holds(), nil }); err != nil {
		f.t.Fatalf("%s: %v; stored is\n%s", what, err, state(f.t, f.portolan))
	}
}

// count returns how many endpoints in a Service's slices at Portolan are ready,
// or not ready.
func (f *fixture) count(service string, ready bool) int {
	f.t.Helper()
	list, err := f.portolan.DiscoveryV1().EndpointSlices(namespace).List(f.t.Context(),
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		f.t.Fatal(err)
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

func (f *fixture) createPod(name string, labels map[string]string, change func(*corev1.Pod)) {
	f.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels},
		Spec:       corev1.PodSpec{NodeName: "node-a", Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	if change != nil {
		change(pod)
	}
	if _, err := f.kube.CoreV1().Pods(namespace).Create(f.t.Context(), pod, metav1.CreateOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

// setStatus writes a Pod's status as a kubelet does.
func (f *fixture) setStatus(name string, ready corev1.ConditionStatus, phase corev1.PodPhase, ips ...string) {
	f.t.Helper()
	pod, err := f.kube.CoreV1().Pods(namespace).Get(f.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	pod.Status.Phase = phase
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.Now()}}
	if len(ips) > 0 {
		pod.Status.PodIP, pod.Status.PodIPs = ips[0], nil
		for _, ip := range ips {
			pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: ip})
		}
	}
	if _, err := f.kube.CoreV1().Pods(namespace).UpdateStatus(f.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) patchPod(name, patch string) {
	f.t.Helper()
	if _, err := f.kube.CoreV1().Pods(namespace).Patch(f.t.Context(), name, mergePatch, []byte(patch), metav1.PatchOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) deletePod(name string, grace int64) {
	f.t.Helper()
	if err := f.kube.CoreV1().Pods(namespace).Delete(f.t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &grace}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) createService(name string, change func(*corev1.Service)) {
	f.t.Helper()
	f.both(func(ctx context.Context, client kubernetes.Interface) error {
		ours := framework.NewService(namespace, name, nil)
		service := &corev1.Service{ObjectMeta: ours.ObjectMeta, Spec: ours.Spec}
		if change != nil {
			change(service)
		}
		_, err := client.CoreV1().Services(namespace).Create(ctx, service, metav1.CreateOptions{})
		return err
	})
}

func (f *fixture) patchService(name, patch string) {
	f.t.Helper()
	f.both(func(ctx context.Context, client kubernetes.Interface) error {
		_, err := client.CoreV1().Services(namespace).Patch(ctx, name, mergePatch, []byte(patch), metav1.PatchOptions{})
		return err
	})
}

func (f *fixture) deleteService(name string) {
	f.t.Helper()
	f.both(func(ctx context.Context, client kubernetes.Interface) error {
		return client.CoreV1().Services(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	})
	// No garbage collector runs beside kube-apiserver here.
	if err := f.kube.DiscoveryV1().EndpointSlices(namespace).DeleteCollection(f.t.Context(), metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name}); err != nil {
		f.t.Fatal(err)
	}
}
