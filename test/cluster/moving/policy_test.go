//go:build e2e

package moving

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestServicesPolicy stops writes of Services past the gateway.
func TestServicesPolicy(t *testing.T) {
	g := newGateway(t)
	old := g.create("old", corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}})
	g.kubectl.Run("apply", "-f", framework.Path("artifacts/cluster/services-policy/policy.yaml"))
	const advice = "the Services of this cluster are Portolan's, and kube-apiserver does not route or resolve the ones written here: " +
		"use a kubeconfig whose server is Portolan's gateway"
	framework.Eventually(t, "kube-apiserver enforces the policy", func(ctx context.Context) (bool, error) {
		_, err := g.client.CoreV1().Services("default").Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "x-"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}, metav1.CreateOptions{})
		return err != nil && strings.Contains(err.Error(), advice), nil
	})
	const metadata = "metadata: {name: e, namespace: default}\n"
	for name, manifest := range map[string]string{
		"endpoints": "apiVersion: v1\nkind: Endpoints\n" + metadata,
		"slices":    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\nendpoints: []\n" + metadata,
	} {
		if out := g.kubectl.FailFed(manifest, "create", "-f", "-"); !strings.Contains(out, advice) {
			t.Errorf("%s: it says %s", name, out)
		}
	}
	for name, args := range map[string][]string{
		"update": {"label", "service", "old", "a=b"},
		"status": {"patch", "service", "old", "--subresource=status", "--type=merge", "-p",
			`{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}`},
	} {
		if out := g.kubectl.Fail(args...); !strings.Contains(out, advice) {
			t.Errorf("%s: it says %s", name, out)
		}
	}
	g.kubectl.Run("delete", "service", "old")
	if old.UID == "" || g.copied("old") != nil {
		t.Error("it was not deleted")
	}

	// The gateway serves them, Portolan writes back, and kube-apiserver keeps its own.
	g.serve("hook", "198.18.0.20")
	g.hook("hook", "198.18.0.20")
	g.expectCalled()
	g.kubectl.Run("delete", "service", "kubernetes")
	framework.Eventually(t, "kube-apiserver makes its Service again", func(context.Context) (bool, error) {
		return g.copied("kubernetes") != nil, nil
	})
}
