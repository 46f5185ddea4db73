//go:build e2e

package controllers

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

const (
	yes     = corev1.ConditionTrue
	no      = corev1.ConditionFalse
	running = corev1.PodRunning
)

// createAllKinds creates a Service for each case that controllers distinguish.
// All but one select app=web.
func createAllKinds(f *fixture) {
	selectWeb := func(change func(*corev1.Service)) func(*corev1.Service) {
		return func(service *corev1.Service) {
			service.Spec.Selector = map[string]string{"app": "web"}
			if change != nil {
				change(service)
			}
		}
	}
	f.createService("web", nil)
	f.createService("named", selectWeb(func(service *corev1.Service) {
		service.Spec.Ports = []corev1.ServicePort{
			{Name: "main", Port: 80, TargetPort: intstr.FromString("main"), AppProtocol: ptr.To("kubernetes.io/h2c")},
			{Name: "extra", Port: 81, TargetPort: intstr.FromString("extra")},
			{Name: "fixed", Port: 82, TargetPort: intstr.FromInt32(8082), Protocol: corev1.ProtocolUDP},
		}
	}))
	f.createService("dual", selectWeb(func(service *corev1.Service) {
		service.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
	}))
	f.createService("six", selectWeb(func(service *corev1.Service) {
		service.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol}
	}))
	f.createService("headless", selectWeb(func(service *corev1.Service) { service.Spec.ClusterIP = corev1.ClusterIPNone }))
	f.createService("db", selectWeb(func(service *corev1.Service) {
		service.Spec.ClusterIP, service.Spec.Ports = corev1.ClusterIPNone, nil
	}))
	f.createService("early", selectWeb(func(service *corev1.Service) { service.Spec.PublishNotReadyAddresses = true }))
	f.createService("near", selectWeb(func(service *corev1.Service) {
		service.Spec.TrafficDistribution = ptr.To(corev1.ServiceTrafficDistributionPreferClose)
	}))
	f.createService("same-node", selectWeb(func(service *corev1.Service) {
		service.Spec.TrafficDistribution = ptr.To(corev1.ServiceTrafficDistributionPreferSameNode)
	}))
	f.createService("labeled", selectWeb(func(service *corev1.Service) {
		service.Labels = map[string]string{
			"a": "b", discoveryv1.LabelManagedBy: "me", discoveryv1.LabelServiceName: "x", corev1.IsHeadlessService: "no",
		}
	}))
	f.createService("elsewhere", selectWeb(func(service *corev1.Service) {
		service.Spec.Type, service.Spec.ExternalName = corev1.ServiceTypeExternalName, "example.com"
	}))
	f.createService("two-keys", selectWeb(func(service *corev1.Service) { service.Spec.Selector["version"] = "1" }))
}

// TestSameAsUpstream gives the same Services and Pods to
// kube-controller-manager and to Portolan, and compares the Endpoints and
// slices.
func TestSameAsUpstream(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	createAllKinds(f)
	f.compare("Services without Pods")

	web := map[string]string{"app": "web", "version": "1"}
	named := func(main, extra int32) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Spec.Hostname, pod.Spec.Subdomain = pod.Name, "db"
			pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "main", ContainerPort: main}}
			pod.Spec.InitContainers = []corev1.Container{{
				Name: "sidecar", Image: "i", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways),
				Ports: []corev1.ContainerPort{{Name: "extra", ContainerPort: extra}},
			}}
			if main%2 == 1 {
				pod.Spec.NodeName = "node-b"
			}
		}
	}
	for i, name := range []string{"p0", "p1", "p2", "p3", "p4"} {
		f.createPod(name, web, named(9000+int32(i)%2, 9100))
	}
	f.createPod("plain", web, nil)
	f.compare("Pods without addresses")
	for i, name := range []string{"p0", "p1", "p2", "p3"} {
		f.setStatus(name, no, running, fmt.Sprintf("10.1.0.%d", i+1), fmt.Sprintf("fd00:1::%d", i+1))
	}
	f.setStatus("p4", no, running, "10.1.0.5")
	f.setStatus("plain", no, running, "10.1.0.6", "fd00:1::6")
	f.compare("Pods that aren't ready")
	for _, name := range []string{"p0", "p1", "p2", "p3", "plain"} {
		f.setStatus(name, yes, running)
	}
	f.compare("Pods that are ready")

	f.patchPod("p0", `{"metadata":{"labels":{"app":"other"}}}`)
	f.compare("a label moved away")
	f.patchPod("p0", `{"metadata":{"labels":{"app":"web"}}}`)
	f.compare("and back")
	f.patchPod("p1", `{"metadata":{"labels":{"version":"2"},"annotations":{"note":"x"}}}`)
	f.compare("one of two labels")
	f.setStatus("p2", no, running)
	f.compare("not ready any more")
	f.deletePod("p3", 600)
	f.compare("terminating, ready")
	f.setStatus("p3", no, running)
	f.compare("terminating, not ready")
	f.deletePod("p3", 0)
	f.compare("gone")
	f.setStatus("plain", no, corev1.PodFailed)
	f.compare("failed")

	f.patchService("web", `{"metadata":{"labels":{"team":"b","new":"x"}}}`)
	f.patchService("named", `{"spec":{"ports":[{"name":"main","port":80,"targetPort":"main"}]}}`)
	f.patchService("two-keys", `{"spec":{"selector":{"version":"2"}}}`)
	f.patchService("early", `{"spec":{"publishNotReadyAddresses":false}}`)
	f.patchService("near", `{"spec":{"trafficDistribution":null}}`)
	f.patchService("dual", `{"spec":{"ipFamilyPolicy":"SingleStack","ipFamilies":["IPv4"],"clusterIPs":null}}`)
	f.patchService("headless", `{"spec":{"ports":[{"name":"http","port":80,"targetPort":1},{"name":"more","port":90,"targetPort":2}]}}`)
	f.compare("Services changed")
	f.patchService("two-keys", `{"spec":{"selector":null}}`)
	f.patchPod("p1", `{"metadata":{"labels":{"version":"1"}}}`)
	f.compare("a selector removed")
	f.patchService("two-keys", `{"spec":{"selector":{"app":"web","version":"1"}}}`)
	f.compare("and another put in its place")
	f.patchService("web", `{"spec":{"type":"ExternalName","externalName":"example.com","clusterIP":null,"clusterIPs":null}}`)
	f.compare("a Service that became an ExternalName")
	f.patchService("web", `{"spec":{"type":"ClusterIP","externalName":null}}`)
	f.compare("and a ClusterIP again")
	f.deleteService("db")
	f.deleteService("six")
	f.compare("Services deleted")
	f.createService("six", func(service *corev1.Service) { service.Spec.Selector = map[string]string{"app": "web"} })
	f.compare("a Service made anew")

	f.kubeOwnersAreOurs()
}

// kubeOwnersAreOurs checks what the comparison leaves out: a slice is owned by
// the Service of portolan.dev, which the cluster's garbage collector can find.
func (f *fixture) kubeOwnersAreOurs() {
	f.t.Helper()
	service, err := f.server.Client.PortolanV1().Services(namespace).Get(f.t.Context(), "six", metav1.GetOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	list, err := f.server.Client.PortolanV1().EndpointSlices(namespace).List(f.t.Context(),
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=six"})
	if err != nil || len(list.Items) != 1 {
		f.t.Fatalf("slices %v, %v", list, err)
	}
	owner := metav1.GetControllerOf(&list.Items[0])
	if owner == nil || owner.APIVersion != "portolan.dev/v1" || owner.Kind != "Service" || owner.UID != service.UID {
		f.t.Errorf("the owner is %v", owner)
	}
}

// TestMirroringSameAsUpstream writes the same Endpoints by hand to both
// servers.
func TestMirroringSameAsUpstream(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	noSelector := func(service *corev1.Service) { service.Spec.Selector = nil }
	for _, name := range []string{"manual", "skipped", "elected", "many"} {
		f.createService(name, noSelector)
	}
	write := func(name string, change func(*corev1.Endpoints)) {
		f.both(func(ctx context.Context, client kubernetes.Interface) error {
			endpoints, err := client.CoreV1().Endpoints(namespace).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				endpoints = &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
				change(endpoints)
				_, err = client.CoreV1().Endpoints(namespace).Create(ctx, endpoints, metav1.CreateOptions{})
				return err
			}
			change(endpoints)
			_, err = client.CoreV1().Endpoints(namespace).Update(ctx, endpoints, metav1.UpdateOptions{})
			return err
		})
	}
	subsets := []corev1.EndpointSubset{
		{
			Addresses: []corev1.EndpointAddress{
				{IP: "192.0.2.2", Hostname: "b"}, {IP: "2001:DB8::1"}, {IP: "192.0.2.1", NodeName: ptr.To("node-a")},
			},
			NotReadyAddresses: []corev1.EndpointAddress{{IP: "192.0.2.3"}},
			Ports: []corev1.EndpointPort{
				{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, AppProtocol: ptr.To("kubernetes.io/h2c")}, {Name: "https", Port: 443},
			},
		},
		{Addresses: []corev1.EndpointAddress{{IP: "192.0.2.1"}}, Ports: []corev1.EndpointPort{{Name: "metrics", Port: 9090}}},
	}
	write("manual", func(e *corev1.Endpoints) {
		e.Labels, e.Annotations = map[string]string{"by": "hand"}, map[string]string{"note": "x", corev1.LastAppliedConfigAnnotation: "{}"}
		e.Subsets = subsets
	})
	write("skipped", func(e *corev1.Endpoints) {
		e.Labels, e.Subsets = map[string]string{discoveryv1.LabelSkipMirror: "true"}, subsets
	})
	write("elected", func(e *corev1.Endpoints) {
		e.Annotations, e.Subsets = map[string]string{"control-plane.alpha.kubernetes.io/leader": "{}"}, subsets
	})
	write("many", func(e *corev1.Endpoints) {
		list := make([]corev1.EndpointAddress, 1200)
		for i := range list {
			list[i].IP = fmt.Sprintf("192.0.%d.%d", i/250, i%250)
		}
		e.Subsets = []corev1.EndpointSubset{{Addresses: list}}
	})
	write("no-service", func(e *corev1.Endpoints) { e.Subsets = subsets })
	f.compare("Endpoints by hand")
	f.createService("no-service", noSelector)
	f.compare("a Service for Endpoints that are there")
	write("manual", func(e *corev1.Endpoints) { e.Subsets[0].Addresses = e.Subsets[0].Addresses[:1] })
	f.compare("fewer addresses")
	write("manual", func(e *corev1.Endpoints) { e.Labels["by"], e.Annotations["note"] = "me", "y" })
	f.compare("labels and annotations")
	write("manual", func(e *corev1.Endpoints) { e.Subsets[0].Ports[0].Port = 8080 })
	f.compare("a port")
	write("manual", func(e *corev1.Endpoints) { e.Labels[discoveryv1.LabelSkipMirror] = "true" })
	f.compare("not to be mirrored any more")
	write("manual", func(e *corev1.Endpoints) { delete(e.Labels, discoveryv1.LabelSkipMirror) })
	f.compare("to be mirrored again")
	write("manual", func(e *corev1.Endpoints) { e.Subsets = nil })
	f.compare("no addresses")
	write("manual", func(e *corev1.Endpoints) { e.Subsets = subsets })
	f.patchService("manual", `{"spec":{"selector":{"app":"web"}}}`)
	f.compare("a selector")
	f.patchService("manual", `{"spec":{"selector":null}}`)
	f.compare("no selector any more")
	f.both(func(ctx context.Context, client kubernetes.Interface) error {
		return client.CoreV1().Endpoints(namespace).Delete(ctx, "skipped", metav1.DeleteOptions{})
	})
	f.deleteService("manual")
	f.compare("deleted")
}

// TestManySameAsUpstream has more Pods than Endpoints can hold.
func TestManySameAsUpstream(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 1050 {
		name := fmt.Sprintf("p%04d", i)
		f.createPod(name, map[string]string{"app": "web"}, nil)
		ready := yes
		if i%7 == 0 {
			ready = no
		}
		f.setStatus(name, ready, running, fmt.Sprintf("10.1.%d.%d", i/250, i%250))
	}
	f.createService("web", nil)
	f.compare("1050 Pods")
	f.patchPod("p1001", `{"metadata":{"labels":{"app":"other"}}}`)
	f.compare("1049 Pods")
}
