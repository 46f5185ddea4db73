//go:build linux && e2e

package failover

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/portolan-dev/portolan/test/framework"
)

// verify runs portolan verify on the store.
func (c *cluster) verify(t testing.TB) {
	t.Helper()
	stdout, stderr, err := framework.Command(t, "verify", "--etcd-servers=http://"+c.store.members[0].client)
	if err != nil || !strings.Contains(stdout, "OK: ") {
		t.Errorf("verify: %v\n%s%s", err, stdout, stderr)
	}
}

// checkHistory proves that all answers were true.
func (c *cluster) checkHistory(t testing.TB) {
	t.Helper()
	for _, err := range c.surprising {
		t.Errorf("an unexpected answer: %v", err)
	}
	// Whatever the store holds in the end was written.
	for _, svc := range framework.Read(t, c.store.client).Services {
		core := &corev1.Service{ObjectMeta: svc.ObjectMeta, Spec: svc.Spec, Status: svc.Status}
		c.history.see(versionOf(core), string(core.UID), valuesOf(core))
	}
	began := time.Now()
	violations, count := c.history.check()
	for _, violation := range violations {
		t.Error(violation)
	}
	const least = 100
	if count < least {
		t.Errorf("only %d operations were checked", count)
	}
	t.Logf("%d requests are %d operations on names and values; looking for an order took %v", len(c.history.requests), count,
		time.Since(began).Round(time.Millisecond))
}

// expectAllFree proves that no value was lost. Without other Services, each
// replica can allocate each address and port by name, and then all of them
// automatically. The pool has as many load-balancer addresses as there are cluster
// IPs.
func (c *cluster) expectAllFree(t testing.TB) {
	t.Helper()
	c.deleteAll(t, c.replicas[0])
	for _, r := range c.replicas {
		for n := range addresses {
			svc := &corev1.Service{}
			svc.Spec.ClusterIP = fmt.Sprintf("10.96.0.%d", n+1)
			svc.Spec.Type = corev1.ServiceTypeLoadBalancer
			nameBalancerAddress(svc, n)
			svc.Spec.Ports = []corev1.ServicePort{{Port: 80, NodePort: int32(30000 + n)}}
			if n == addresses-1 {
				for rest := n + 1; rest < ports; rest++ {
					svc.Spec.Ports = append(svc.Spec.Ports,
						corev1.ServicePort{Name: fmt.Sprint(rest), Port: int32(rest + 1), NodePort: int32(30000 + rest)})
				}
				svc.Spec.Ports[0].Name = "first"
			}
			c.mustCreate(t, r, fmt.Sprintf("named-%d", n), svc)
		}
		c.deleteAll(t, r)
		for n := range addresses {
			svc := &corev1.Service{}
			svc.Spec.Type = corev1.ServiceTypeLoadBalancer
			svc.Spec.Ports = []corev1.ServicePort{{Port: 80}}
			c.mustCreate(t, r, fmt.Sprintf("picked-%d", n), svc)
		}
		c.deleteAll(t, r)
	}
	c.verify(t)
}

// The sizes of the ranges.
const (
	addresses = 254
	ports     = 256
)

func (c *cluster) mustCreate(t testing.TB, r *replica, name string, svc *corev1.Service) {
	t.Helper()
	svc.Name = name
	user := &client{cluster: c}
	created, err := r.services().Create(context.Background(), user.label(svc, version(name)), metav1.CreateOptions{})
	if err != nil {
		t.Errorf("%s: %s: %v", r.name, name, err)
		return
	}
	if points, _, err := unstructured.NestedSlice(created.Object, "status", "loadBalancer", "ingress"); len(points) != 1 {
		t.Errorf("%s: %s has the load-balancer addresses %v, error %v", r.name, name, points, err)
	}
}

func (c *cluster) deleteAll(t testing.TB, r *replica) {
	t.Helper()
	services := r.services()
	found, err := services.List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, svc := range found.Items {
		if err := services.Delete(context.Background(), svc.GetName(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	}
}

// variable returns a variable of the environment, or a default.
func variable(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func duration(t testing.TB, name string, otherwise time.Duration) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(variable(name, otherwise.String()))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return d
}
