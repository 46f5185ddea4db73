//go:build e2e

package aggregated

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
	"k8s.io/apimachinery/pkg/watch"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

func portNumber(port int) intstr.IntOrString { return intstr.FromInt(port) }

// createPod makes a Pod that is ready, as if a kubelet ran it.
func (g *fixture) createPod(t *testing.T, namespace, name, address string, labels map[string]string) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}
	// Pods come after their namespace's service account.
	framework.Eventually(t, "a Pod is made", func(ctx context.Context) (bool, error) {
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

// testLabeledAway takes a Pod out of a Service by its label and puts it back,
// and looks at both as one does to debug a Pod.
func testLabeledAway(t *testing.T, g *fixture) {
	ns := g.newNamespace(t, "labels")
	g.createService(t, ns, newService("web"))
	k := framework.NewKubectl(t, g.kubeconfig).With("-n", ns)
	shows := startWatch(t, k, "endpoints.portolan.dev")
	g.createPod(t, ns, "one", "203.0.113.1", map[string]string{"app": "web"})
	g.createPod(t, ns, "two", "203.0.113.2", map[string]string{"app": "web"})
	const both = "web 203.0.113.1:80,203.0.113.2:80"
	shows.await(both)
	k.Run("label", "pod", "two", "--overwrite", "app=debugged")
	if line := shows.await("web 203.0.113.1:80 "); strings.Contains(line, "203.0.113.2") {
		t.Errorf("it is still there: %s", line)
	}
	k.Expect(k.Run("get", "endpointslices.portolan.dev", "-l", "kubernetes.io/service-name=web"), "203.0.113.1")
	k.Run("label", "pod", "two", "--overwrite", "app=web")
	shows.await(both)
}

// awaitFollowed wants a Pod that is made now to become an address: the
// controllers run, in whichever replica, and see the cluster and what is here.
func (g *fixture) awaitFollowed(t *testing.T, namespace string) {
	t.Helper()
	g.createService(t, namespace, newService("followed"))
	g.createPod(t, namespace, "followed", "203.0.113.99", map[string]string{"app": "followed"})
	framework.Eventually(t, "a Pod that is made now is an address", func(ctx context.Context) (bool, error) {
		current, err := g.portolan.PortolanV1().Endpoints(namespace).Get(ctx, "followed", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return slices.Equal(addressesOf(current), []string{"203.0.113.99"}), fmt.Errorf("there are %v", addressesOf(current))
	})
}

// testRollingLabels moves a Service from one version of its Pods to the next,
// and never finds it without addresses in between, in Endpoints or in slices.
func testRollingLabels(t *testing.T, g *fixture) {
	ns := g.newNamespace(t, "versions")
	g.createService(t, ns, newService("web", func(svc *v1.Service) { svc.Spec.Selector = map[string]string{"app": "web", "version": "1"} }))
	for pod, version := range map[string]string{"203.0.113.11": "1", "203.0.113.12": "1", "203.0.113.21": "2", "203.0.113.22": "2"} {
		g.createPod(t, ns, "pod-"+strings.ReplaceAll(pod, ".", "-"), pod, map[string]string{"app": "web", "version": version})
	}
	ctx, cancel := context.WithTimeout(t.Context(), framework.Patience)
	defer cancel()
	endpoints, err := g.portolan.PortolanV1().Endpoints(ns).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer endpoints.Stop()
	endpointSlices, err := g.portolan.PortolanV1().EndpointSlices(ns).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer endpointSlices.Stop()
	views := []*view{{watch: endpoints, addresses: map[string][]string{}}, {watch: endpointSlices, addresses: map[string][]string{}}}
	for _, v := range views {
		v.await(t, []string{"203.0.113.11", "203.0.113.12"}, true)
	}
	framework.NewKubectl(t, g.kubeconfig).Run("patch", "psvc", "web", "-n", ns, "-p", `{"spec":{"selector":{"version":"2"}}}`, "--type=merge")
	for _, v := range views {
		v.await(t, []string{"203.0.113.21", "203.0.113.22"}, false)
	}
}

// view is what a watch has shown: the ready addresses of each object.
type view struct {
	watch     watch.Interface
	addresses map[string][]string
}

// await reads on until there are these addresses and no others. Unless there
// may be none before, that is an error.
func (v *view) await(t *testing.T, want []string, mayBeEmpty bool) {
	t.Helper()
	for event := range v.watch.ResultChan() {
		var name string
		switch object := event.Object.(type) {
		case *v1.Endpoints:
			name = object.Name
			v.addresses[name] = addressesOf(object)
		case *v1.EndpointSlice:
			name = object.Name
			v.addresses[name] = addressesOfSlice(object)
		default:
			t.Fatalf("watched %v", event)
		}
		if event.Type == watch.Deleted {
			delete(v.addresses, name)
		}
		all := slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Values(v.addresses))...)))
		if len(all) == 0 && !mayBeEmpty {
			t.Errorf("a moment without ready addresses: %v", event)
		}
		if slices.Equal(all, want) {
			return
		}
	}
	t.Fatalf("%v never came, there are %v", want, v.addresses)
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

// addressesOfSlice are the ready addresses of a slice.
func addressesOfSlice(slice *v1.EndpointSlice) []string {
	var found []string
	for _, endpoint := range slice.Endpoints {
		if ready := endpoint.Conditions.Ready; ready == nil || *ready {
			found = append(found, endpoint.Addresses...)
		}
	}
	return found
}
