//go:build e2e

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func portNumber(port int) intstr.IntOrString { return intstr.FromInt(port) }

// createPod makes a Pod that is ready, as if a kubelet ran it.
func (g *ground) createPod(t *testing.T, namespace, name, address string, labels map[string]string) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}
	// Pods come after their namespace's service account.
	eventually(t, "a Pod is made", func(ctx context.Context) (bool, error) {
		_, err := g.client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
		return err == nil || apierrors.IsAlreadyExists(err), err
	})
	patch, err := json.Marshal(map[string]any{"status": corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: address, PodIPs: []corev1.PodIP{{IP: address}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.client.CoreV1().Pods(namespace).Patch(t.Context(), name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
}

// testLabelledAway takes a Pod out of a Service by its label and puts it back,
// and sees both as whoever debugs a Pod does.
func testLabelledAway(t *testing.T, g *ground) {
	ns := g.newNamespace(t, "labels")
	g.createService(t, ns, newService("web"))
	k := g.as(t, g.kubeconfig).with("-n", ns)
	watch := startWatch(t, k, "endpoints.portolan.dev")
	g.createPod(t, ns, "one", "203.0.113.1", map[string]string{"app": "web"})
	g.createPod(t, ns, "two", "203.0.113.2", map[string]string{"app": "web"})
	const both = "web 203.0.113.1:80,203.0.113.2:80"
	watch.await(both)
	k.run("label", "pod", "two", "--overwrite", "app=debugged")
	if line := watch.await("web 203.0.113.1:80 "); strings.Contains(line, "203.0.113.2") {
		t.Errorf("it is still there: %s", line)
	}
	k.expect(k.run("get", "endpointslices.portolan.dev", "-l", "kubernetes.io/service-name=web"), "203.0.113.1")
	k.run("label", "pod", "two", "--overwrite", "app=web")
	watch.await(both)
}

// awaitFollowed wants a Pod that is made now to become an address: the
// controllers run, in whichever replica, and see the cluster and what is here.
func (g *ground) awaitFollowed(t *testing.T, namespace string) {
	t.Helper()
	g.createService(t, namespace, newService("followed"))
	g.createPod(t, namespace, "followed", "203.0.113.99", map[string]string{"app": "followed"})
	eventually(t, "a Pod that is made now is an address", func(ctx context.Context) (bool, error) {
		current, err := g.portolan.PortolanV1().Endpoints(namespace).Get(ctx, "followed", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return slices.Equal(addressesOf(current), []string{"203.0.113.99"}), fmt.Errorf("there are %v", addressesOf(current))
	})
}

// testRollingLabels moves a Service from one version of its Pods to the next,
// and never finds it without addresses in between.
func testRollingLabels(t *testing.T, g *ground) {
	ctx := t.Context()
	ns := g.newNamespace(t, "versions")
	g.createService(t, ns, newService("web", func(svc *v1.Service) { svc.Spec.Selector = map[string]string{"app": "web", "version": "1"} }))
	for pod, version := range map[string]string{"203.0.113.11": "1", "203.0.113.12": "1", "203.0.113.21": "2", "203.0.113.22": "2"} {
		g.createPod(t, ns, "pod-"+strings.ReplaceAll(pod, ".", "-"), pod, map[string]string{"app": "web", "version": version})
	}
	old, next := []string{"203.0.113.11", "203.0.113.12"}, []string{"203.0.113.21", "203.0.113.22"}
	endpoints := g.portolan.PortolanV1().Endpoints(ns)
	var version string
	eventually(t, "the addresses of version 1", func(ctx context.Context) (bool, error) {
		current, err := endpoints.Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		version = current.ResourceVersion
		return slices.Equal(addressesOf(current), old), fmt.Errorf("there are %v", addressesOf(current))
	})
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	watch, err := endpoints.Watch(ctx, metav1.ListOptions{ResourceVersion: version, FieldSelector: "metadata.name=web"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	g.as(t, g.kubeconfig).run("patch", "psvc", "web", "-n", ns, "-p", `{"spec":{"selector":{"version":"2"}}}`, "--type=merge")
	for event := range watch.ResultChan() {
		current, ok := event.Object.(*v1.Endpoints)
		if !ok {
			t.Fatalf("watched %v", event)
		}
		addresses := addressesOf(current)
		if len(addresses) == 0 {
			t.Errorf("a moment without ready addresses: %v", current.Subsets)
		}
		if slices.Equal(addresses, next) {
			return
		}
	}
	t.Error("the addresses of version 2 never came")
}

// addressesOf are the ready addresses, sorted.
func addressesOf(endpoints *v1.Endpoints) []string {
	found := map[string]bool{}
	for _, subset := range endpoints.Subsets {
		for _, address := range subset.Addresses {
			found[address.IP] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
