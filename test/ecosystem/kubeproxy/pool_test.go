//go:build e2e && linux

package kubeproxy

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// testPool reaches two Services on the addresses that they share, one of each family, which
// the server gave them when they were created. The class keeps other tests out of the pool.
func testPool(t *testing.T, g *fixture) {
	want := []string{"203.0.113.210", "2001:db8:3::10"}
	class := ptr.To("example.com/pool")
	pool := &v1.LoadBalancerPool{
		ObjectMeta: metav1.ObjectMeta{Name: "pool"},
		Spec:       v1.LoadBalancerPoolSpec{CIDRs: []string{want[0] + "/32", want[1] + "/128"}, LoadBalancerClass: class},
	}
	if _, err := g.server.Client.PortolanV1().LoadBalancerPools().Create(t.Context(), pool, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, number := range map[string]int32{"pooled": 80, "pooled-too": 81} {
		svc := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{v1.LoadBalancerSharingKeyAnnotation: "shared"}},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: class, Selector: map[string]string{"app": name},
				IPFamilies: families, IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicyRequireDualStack),
				Ports: []corev1.ServicePort{
					{Name: "tcp", Protocol: corev1.ProtocolTCP, Port: number, TargetPort: portOf(port)},
					{Name: "udp", Protocol: corev1.ProtocolUDP, Port: number, TargetPort: portOf(port)},
				},
			},
		}
		created, err := g.client.CoreV1().Services(namespace).Create(t.Context(), svc, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, ingress := range created.Status.LoadBalancer.Ingress {
			got = append(got, ingress.IP)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s is created with the addresses %v, not %v", name, got, want)
		}
	}
	g.run(t, "pooled", "a", "b", "d")
	g.run(t, "pooled-too", "c")
	for _, address := range want {
		for _, network := range networks {
			g.awaitBackends(t, g.outside, network, at(address, 80), "a", "b", "d")
			g.awaitBackends(t, g.outside, network, at(address, 81), "c")
		}
	}
}
