//go:build e2e

package dns

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

const (
	namespace = "shop"
	zone      = namespace + ".svc." + domain
	node      = "node-a"
)

// writer writes the same to some servers.
type writer struct {
	t       *testing.T
	clients []kubernetes.Interface
}

func (w writer) do(do func(ctx context.Context, client kubernetes.Interface) error) {
	w.t.Helper()
	for _, client := range w.clients {
		if err := do(w.t.Context(), client); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w writer) createNamespace(name string) {
	w.t.Helper()
	w.do(func(ctx context.Context, client kubernetes.Interface) error {
		_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		return err
	})
}

func (w writer) createNode(name string) {
	w.t.Helper()
	w.do(func(ctx context.Context, client kubernetes.Interface) error {
		_, err := client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		return err
	})
}

func (w writer) deleteNamespace(name string) {
	w.t.Helper()
	w.do(func(ctx context.Context, client kubernetes.Interface) error {
		return client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	})
}

func (w writer) createService(in, name string, spec corev1.ServiceSpec) {
	w.t.Helper()
	w.do(func(ctx context.Context, client kubernetes.Interface) error {
		_, err := client.CoreV1().Services(in).Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec},
			metav1.CreateOptions{})
		return err
	})
}

func (w writer) patchService(name, patch string, subresources ...string) {
	w.t.Helper()
	w.do(func(ctx context.Context, client kubernetes.Interface) error {
		_, err := client.CoreV1().Services(namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{},
			subresources...)
		return err
	})
}

func (w writer) deleteService(name string) {
	w.t.Helper()
	w.do(func(ctx context.Context, client kubernetes.Interface) error {
		return client.CoreV1().Services(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	})
}

// createPod makes a Pod of an app, with its own name as its hostname if it has a
// subdomain, and does what a kubelet would.
func (w writer) createPod(name, app, subdomain string, phase corev1.PodPhase, ready corev1.ConditionStatus, ips ...string) {
	w.t.Helper()
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{NodeName: node, Subdomain: subdomain, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	if subdomain != "" {
		pod.Spec.Hostname = name
	}
	w.do(func(ctx context.Context, client kubernetes.Interface) error {
		made, err := client.CoreV1().Pods(namespace).Create(ctx, pod.DeepCopy(), metav1.CreateOptions{})
		if err != nil {
			return err
		}
		made.Status.Phase, made.Status.PodIP = phase, ips[0]
		for _, ip := range ips {
			made.Status.PodIPs = append(made.Status.PodIPs, corev1.PodIP{IP: ip})
		}
		made.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
		_, err = client.CoreV1().Pods(namespace).UpdateStatus(ctx, made, metav1.UpdateOptions{})
		return err
	})
}

func (w writer) setReady(pod string, ready corev1.ConditionStatus) {
	w.t.Helper()
	patch := `{"status":{"conditions":[{"type":"Ready","status":"` + string(ready) + `"}]}}`
	w.do(func(ctx context.Context, client kubernetes.Interface) error {
		_, err := client.CoreV1().Pods(namespace).Patch(ctx, pod, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
		return err
	})
}

func (w writer) deletePod(name string) {
	w.t.Helper()
	w.do(func(ctx context.Context, client kubernetes.Interface) error {
		return client.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
	})
}

func selects(app string, spec corev1.ServiceSpec) corev1.ServiceSpec {
	spec.Selector = map[string]string{"app": app}
	return spec
}

// createObjects makes a Service of each kind that is named in its own way, and
// what is behind them. Addresses are named, so that they are the same everywhere.
func (w writer) createObjects() {
	w.t.Helper()
	dual, six := ptr.To(corev1.IPFamilyPolicyRequireDualStack), []corev1.IPFamily{corev1.IPv6Protocol}
	port := func(name string, number int32) []corev1.ServicePort {
		return []corev1.ServicePort{{Name: name, Port: number}}
	}
	w.createNode(node)
	w.createNamespace(namespace)
	w.createNamespace("empty")
	for name, spec := range map[string]corev1.ServiceSpec{
		"web": selects("web", corev1.ServiceSpec{
			ClusterIP: "10.96.0.20", ClusterIPs: []string{"10.96.0.20", "fd00:10:96::20"}, IPFamilyPolicy: dual,
			Ports: []corev1.ServicePort{
				{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)},
				{Name: "query", Port: 53, Protocol: corev1.ProtocolUDP},
			},
		}),
		"plain":    {ClusterIP: "10.96.0.21", Ports: []corev1.ServicePort{{Port: 80}}},
		"six":      {ClusterIP: "fd00:10:96::22", IPFamilies: six, Ports: port("http", 80)},
		"balanced": {ClusterIP: "10.96.0.23", Type: corev1.ServiceTypeLoadBalancer, Ports: port("http", 80)},
		"mirrored": {ClusterIP: "10.96.0.24", Ports: port("http", 80)},
		"db":       selects("db", corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, IPFamilyPolicy: dual, Ports: port("postgres", 5432)}),
		"early":    selects("db", corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, PublishNotReadyAddresses: true}),
		"manual":   {ClusterIP: corev1.ClusterIPNone, Ports: port("http", 80)},
		"nobody":   selects("nobody", corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: port("http", 80)}),
		"outside":  {Type: corev1.ServiceTypeExternalName, ExternalName: "someapi.somecompany.com"},
		"alias":    {Type: corev1.ServiceTypeExternalName, ExternalName: "web." + zone},
	} {
		w.createService(namespace, name, spec)
	}
	w.patchService("balanced", `{"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.7"}]}}}`, "status")
	w.do(func(ctx context.Context, client kubernetes.Interface) error {
		_, err := client.CoreV1().Endpoints(namespace).Create(ctx, &corev1.Endpoints{
			ObjectMeta: metav1.ObjectMeta{Name: "mirrored"},
			Subsets: []corev1.EndpointSubset{{
				Addresses: []corev1.EndpointAddress{{IP: "198.51.100.9", Hostname: "ninth"}},
				Ports:     []corev1.EndpointPort{{Name: "http", Port: 8080}},
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		_, err = client.DiscoveryV1().EndpointSlices(namespace).Create(ctx, &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: "manual-1", Labels: map[string]string{discoveryv1.LabelServiceName: "manual"}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080)}},
			Endpoints: []discoveryv1.Endpoint{
				{Addresses: []string{"198.51.100.1"}, Hostname: ptr.To("first")},
				{Addresses: []string{"198.51.100.2"}, Hostname: ptr.To("second"), Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}},
				{Addresses: []string{"198.51.100.3"}},
			},
		}, metav1.CreateOptions{})
		return err
	})
	const running, yes, no = corev1.PodRunning, corev1.ConditionTrue, corev1.ConditionFalse
	w.createPod("web-0", "web", "", running, yes, "192.0.2.10", "2001:db8::10")
	w.createPod("db-0", "db", "db", running, yes, "192.0.2.20", "2001:db8::20")
	w.createPod("db-1", "db", "db", running, yes, "192.0.2.21", "2001:db8::21")
	w.createPod("db-2", "db", "db", running, no, "192.0.2.22", "2001:db8::22")
	w.createPod("done", "job", "", corev1.PodSucceeded, no, "192.0.2.30")
}
