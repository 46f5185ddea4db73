//go:build e2e

package layouts

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

// node is the Node of all Pods.
const node = "node-a"

func (f *fixture) addNode(t *testing.T) {
	t.Helper()
	made := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}
	if _, err := f.Direct.CoreV1().Nodes().Create(t.Context(), made, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) newNamespace(t *testing.T, prefix string) string {
	t.Helper()
	made, err := f.Client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made.Name
}

// createService creates a v1 Service at the gateway.
func (f *fixture) createService(t *testing.T, ns, name string) *corev1.Service {
	t.Helper()
	svc, err := f.Client.CoreV1().Services(ns).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

// startPod creates a Pod that is ready, at kube-apiserver.
func (f *fixture) startPod(t *testing.T, ns, app, ip string) {
	t.Helper()
	pods := f.Direct.CoreV1().Pods(ns)
	pod, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: app + "-", Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "example.com/web"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	if _, err := pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitSlice waits for the only slice of a Service to have just these addresses, in order
// and joined, and returns the slice.
func (f *fixture) awaitSlice(t *testing.T, ns, service, address string) *discoveryv1.EndpointSlice {
	t.Helper()
	var found *discoveryv1.EndpointSlice
	framework.Eventually(t, "the slice of "+service, func(ctx context.Context) (bool, error) {
		list, err := f.slicesOf(ctx, ns, service)
		if err != nil || len(list) != 1 {
			return false, fmt.Errorf("%d slices, error %w", len(list), err)
		}
		found = &list[0]
		var got []string
		for _, endpoint := range found.Endpoints {
			got = append(got, endpoint.Addresses...)
		}
		slices.Sort(got)
		return strings.Join(got, "") == address, fmt.Errorf("it has %q", got)
	})
	return found
}

func (f *fixture) awaitNoSlices(t *testing.T, ns, service string) {
	t.Helper()
	framework.Eventually(t, "the slices are gone", func(ctx context.Context) (bool, error) {
		left, err := f.slicesOf(ctx, ns, service)
		return err == nil && len(left) == 0, err
	})
}

func (f *fixture) slicesOf(ctx context.Context, ns, service string) ([]discoveryv1.EndpointSlice, error) {
	list, err := f.Client.DiscoveryV1().EndpointSlices(ns).List(ctx,
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

func (f *fixture) delete(t *testing.T, ns, service string, policy metav1.DeletionPropagation) {
	t.Helper()
	if err := f.Client.CoreV1().Services(ns).Delete(t.Context(), service, metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
		t.Fatal(err)
	}
}

// createConfigMap creates an object that the cluster stores, at the gateway.
func (f *fixture) createConfigMap(t *testing.T, ns, name string, owners ...metav1.OwnerReference) {
	t.Helper()
	f.createFinalized(t, ns, name, nil, owners...)
}

func (f *fixture) createFinalized(t *testing.T, ns, name string, finalizers []string, owners ...metav1.OwnerReference) {
	t.Helper()
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners, Finalizers: finalizers}}
	if _, err := f.Client.CoreV1().ConfigMaps(ns).Create(t.Context(), made, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) expectConfigMap(t *testing.T, ns, name string) *corev1.ConfigMap {
	t.Helper()
	found, err := f.Direct.CoreV1().ConfigMaps(ns).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if found.DeletionTimestamp != nil {
		t.Errorf("%s is being deleted", name)
	}
	return found
}
