//go:build e2e

package mirror

import (
	"context"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestCopies changes Services of a cluster in every way and wants each state copied, with
// its claims.
func TestCopies(t *testing.T) {
	f := newFixture(t)
	g := f.serve(nil)
	nodePort := func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }
	services := f.cluster.CoreV1().Services(namespace)
	ctx := t.Context()
	for name, test := range map[string]struct {
		create func(*corev1.Service)
		change func(*corev1.Service)
	}{
		"cluster-ip": {nil, func(s *corev1.Service) { s.Labels = map[string]string{"a": "b"} }},
		"headless":   {func(s *corev1.Service) { s.Spec.ClusterIP = "None" }, func(s *corev1.Service) { s.Spec.Selector = nil }},
		"external": {func(s *corev1.Service) {
			s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"}
		}, func(s *corev1.Service) {
			s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Ports: []corev1.ServicePort{{Port: 80}}}
		}},
		"node-port": {nodePort, func(s *corev1.Service) {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "more", Port: 81})
			s.Spec.Ports[0].Name = "first"
		}},
		"fewer-ports": {nodePort, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP; s.Spec.Ports[0].NodePort = 0 }},
		"balancer": {func(s *corev1.Service) {
			s.Spec.Type, s.Spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal
			s.Finalizers = []string{"example.com/balancer"}
		}, func(s *corev1.Service) { s.Annotations = map[string]string{"a": "b"} }},
	} {
		t.Run(name, func(t *testing.T) {
			source := f.create(name, test.create)
			expectCopy(t, g, source)
			test.change(source)
			source, err := services.Update(ctx, source, metav1.UpdateOptions{})
			f.must(err)
			expectCopy(t, g, source)
			source.Status.LoadBalancer.Ingress = nil
			if source.Spec.Type == corev1.ServiceTypeLoadBalancer {
				source.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1", IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)}}
				source, err = services.UpdateStatus(ctx, source, metav1.UpdateOptions{})
				f.must(err)
				expectCopy(t, g, source)
			}
			f.must(services.Delete(ctx, name, metav1.DeleteOptions{}))
			if len(source.Finalizers) > 0 {
				terminating, err := services.Get(ctx, name, metav1.GetOptions{})
				f.must(err)
				terminating.Finalizers = nil
				_, err = services.Update(ctx, terminating, metav1.UpdateOptions{})
				f.must(err)
			}
			framework.AwaitGone(t, g.client.CoreV1().Services(namespace), name)
		})
	}
	expectCopy(t, g, f.get("kubernetes"))
	f.expectConsistent()
}

func (f *fixture) get(name string) *corev1.Service {
	f.t.Helper()
	service, err := f.cluster.CoreV1().Services(namespace).Get(f.t.Context(), name, metav1.GetOptions{})
	f.must(err)
	return service
}

// expectCopy waits for the copy of a Service and wants what it holds claimed.
func expectCopy(t *testing.T, g gateway, source *corev1.Service) {
	t.Helper()
	g.eventually(t, source.Name, "is a copy of "+source.String(), func(ours *corev1.Service) bool { return isCopyOf(ours, source) })
	for _, ip := range source.Spec.ClusterIPs {
		if ip == corev1.ClusterIPNone {
			continue
		}
		claim, err := g.Client.PortolanV1().IPAddresses().Get(t.Context(), ip, metav1.GetOptions{})
		if err != nil || claim.Spec.ParentRef.UID != source.UID {
			t.Errorf("%s: %v, %v", ip, claim, err)
		}
	}
	ports := []int32{source.Spec.HealthCheckNodePort}
	for _, port := range source.Spec.Ports {
		ports = append(ports, port.NodePort)
	}
	for _, port := range slices.DeleteFunc(ports, func(port int32) bool { return port == 0 }) {
		claim, err := g.Client.PortolanV1().NodePorts().Get(t.Context(), fmt.Sprint(port), metav1.GetOptions{})
		if err != nil || claim.Spec.ParentRef.UID != source.UID {
			t.Errorf("port %d: %v, %v", port, claim, err)
		}
	}
}

// expectConsistent verifies the store. What the cluster's Services hold lies in none of
// Portolan's ranges, and that is fine.
func (f *fixture) expectConsistent() {
	f.t.Helper()
	framework.ExpectQuiet(f.t, framework.Check(f.t, f.store.Client))
}

// TestEndpointsFollow wants the cluster's Endpoints and EndpointSlices copied, those that
// its controllers make and those made by hand, and none for a Service of Portolan's own.
func TestEndpointsFollow(t *testing.T) {
	f := newFixture(t, framework.EndpointControllers, framework.DeletionControllers)
	g := f.serve(nil)
	ctx := t.Context()
	_, err := g.client.CoreV1().Services(namespace).Create(ctx, newService("own", nil), metav1.CreateOptions{})
	f.must(err)
	f.create("web", nil)
	f.create("manual", func(s *corev1.Service) { s.Spec.Selector = nil })
	f.startPod("web", "web", "192.0.2.7")
	f.createSlice("manual-1", "manual", "192.0.2.8")
	f.createSlice("own-1", "own", "192.0.2.9")
	f.createSlice("alone", "", "192.0.2.10")
	for _, name := range []string{"web", "manual", ""} {
		f.expectSlices(g, name)
	}
	f.expectEndpoints(g, "web")
	for _, slice := range g.slices(t, "own") {
		if len(slice.Endpoints) > 0 {
			t.Errorf("Portolan's own Service has the cluster's endpoints: %v", slice)
		}
	}
	f.must(f.cluster.DiscoveryV1().EndpointSlices(namespace).Delete(ctx, "alone", metav1.DeleteOptions{}))
	f.must(f.cluster.CoreV1().Services(namespace).Delete(ctx, "web", metav1.DeleteOptions{}))
	framework.Eventually(t, "what was copied is gone", func(context.Context) (bool, error) {
		return len(g.slices(t, "web"))+len(g.slices(t, "")) == 0, nil
	})
}

// expectEndpoints waits until the gateway has the cluster's Endpoints, with an address.
func (f *fixture) expectEndpoints(g gateway, name string) {
	f.t.Helper()
	framework.Eventually(f.t, "the Endpoints are copied", func(ctx context.Context) (bool, error) {
		source, err := f.cluster.CoreV1().Endpoints(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		ours, err := g.client.CoreV1().Endpoints(namespace).Get(ctx, name, metav1.GetOptions{})
		return err == nil && len(ours.Subsets) == 1 && isCopyOf(ours, source), err
	})
}

// slices lists the slices of a Service at the gateway.
func (g gateway) slices(t *testing.T, service string) []discoveryv1.EndpointSlice {
	t.Helper()
	list, err := g.client.DiscoveryV1().EndpointSlices(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: ofService(service)})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func ofService(name string) string {
	if name == "" {
		return "!" + discoveryv1.LabelServiceName
	}
	return discoveryv1.LabelServiceName + "=" + name
}

// expectSlices waits until the gateway has the cluster's slices of a Service, whose owners
// are of portolan.dev, and endpoints in one of them.
func (f *fixture) expectSlices(g gateway, service string) {
	f.t.Helper()
	framework.Eventually(f.t, "the slices of "+service, func(ctx context.Context) (bool, error) {
		sources, err := f.cluster.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: ofService(service)})
		if err != nil {
			return false, err
		}
		ours, endpoints := g.slices(f.t, service), 0
		if len(ours) != len(sources.Items) || len(ours) == 0 {
			return false, fmt.Errorf("there are %d of %d", len(ours), len(sources.Items))
		}
		for i := range ours {
			for owner := range ours[i].OwnerReferences {
				ref := &ours[i].OwnerReferences[owner]
				if ref.APIVersion != "portolan.dev/v1" {
					return false, fmt.Errorf("the owner is of %s", ref.APIVersion)
				}
				ref.APIVersion = "v1"
			}
			endpoints += len(ours[i].Endpoints)
			if !isCopyOf(&ours[i], &sources.Items[i]) {
				return false, fmt.Errorf("%v is no copy of %v", ours[i], sources.Items[i])
			}
		}
		return endpoints > 0, nil
	})
}

func (f *fixture) createSlice(name, service, address string) {
	f.t.Helper()
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: name}, AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{address}}}, Ports: []discoveryv1.EndpointPort{{Port: ptr.To[int32](80)}},
	}
	if service != "" {
		slice.Labels = map[string]string{discoveryv1.LabelServiceName: service}
	}
	_, err := f.cluster.DiscoveryV1().EndpointSlices(namespace).Create(f.t.Context(), slice, metav1.CreateOptions{})
	f.must(err)
}

// startPod makes a Pod that is ready, and its Node.
func (f *fixture) startPod(name, app, ip string) {
	f.t.Helper()
	_, err := f.cluster.CoreV1().Nodes().Create(f.t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		f.must(err)
	}
	pods := f.cluster.CoreV1().Pods(namespace)
	pod, err := pods.Create(f.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "c", Image: "example.com/web"}}},
	}, metav1.CreateOptions{})
	f.must(err)
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	_, err = pods.UpdateStatus(f.t.Context(), pod, metav1.UpdateOptions{})
	f.must(err)
}
