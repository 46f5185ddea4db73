package kill

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	clientv1 "github.com/portolan-dev/portolan/generated/clientset/versioned/typed/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/store/verify"
	"github.com/portolan-dev/portolan/test/framework"
)

const retainedServices = 6

// TestKillBetweenDeleteAndRecreate kills a server while clients delete and create retained
// Services. A Service has its values, or they are reserved for it, at any time. Its
// load-balancer addresses are among them.
func TestKillBetweenDeleteAndRecreate(t *testing.T) {
	t.Parallel()
	n := 12
	if testing.Short() {
		n = 3
	}
	s := newStore(t, framework.Seed(t), 0)
	held := &heldValues{byName: map[string][]string{}}
	pool := &v1.LoadBalancerPool{ObjectMeta: metav1.ObjectMeta{Name: "public"}, Spec: v1.LoadBalancerPoolSpec{
		CIDRs: []string{"192.0.2.0/24", "2001:db8::/120"},
	}}
	writes := 0
	for range n {
		server := s.serve(t)
		server.WaitReady(t)
		services := server.Client(t).PortolanV1().Services(namespace)
		_, err := server.Client(t).PortolanV1().LoadBalancerPools().Create(t.Context(), pool, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		counts := make([]int, retainedServices)
		for i := range retainedServices {
			running.Go(func() { counts[i] = held.recreate(ctx, t, services, fmt.Sprintf("retained-%d", i)) })
		}
		time.Sleep(time.Duration(s.random.Int64N(int64(maxLife))))
		// From here on a client takes an error for the kill.
		stop()
		server.Kill(t)
		running.Wait()
		for _, count := range counts {
			writes += count
		}
		checkNothingLost(t, s, held)
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d kills, %d writes", n, writes)
}

// heldValues has the values that each Service got at first.
type heldValues struct {
	mu     sync.Mutex
	byName map[string][]string
}

// check records the first values of a Service, and compares all others with them.
func (h *heldValues) check(t *testing.T, svc *v1.Service) {
	got := append(slices.Clone(svc.Spec.ClusterIPs), fmt.Sprint(svc.Spec.Ports[0].NodePort), fmt.Sprint(svc.Spec.HealthCheckNodePort))
	for _, ingress := range svc.Status.LoadBalancer.Ingress {
		got = append(got, ingress.IP)
	}
	if len(svc.Status.LoadBalancer.Ingress) != 2 {
		t.Errorf("%s has the load-balancer addresses %v", svc.Name, svc.Status.LoadBalancer.Ingress)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if first, known := h.byName[svc.Name]; !known {
		h.byName[svc.Name] = got
	} else if !slices.Equal(got, first) {
		t.Errorf("%s has %v, and had %v", svc.Name, got, first)
	}
}

// recreate deletes and creates a Service again and again until the context ends. Requests
// go on after that, into the kill.
func (h *heldValues) recreate(ctx context.Context, t *testing.T, services clientv1.ServiceInterface, name string) (writes int) {
	policy := corev1.IPFamilyPolicyRequireDualStack
	for {
		svc, err := services.Create(context.WithoutCancel(ctx), &v1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{v1.RetainAnnotation: "true"}},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal,
				IPFamilyPolicy: &policy, Ports: []corev1.ServicePort{{Port: 80}},
			},
		}, metav1.CreateOptions{})
		switch {
		case err == nil:
			h.check(t, svc)
		case ctx.Err() != nil:
			return writes
		case !apierrors.IsAlreadyExists(err):
			t.Errorf("create of %s: %v", name, err)
			return writes
		}
		err = services.Delete(context.WithoutCancel(ctx), name, metav1.DeleteOptions{})
		if err != nil {
			if ctx.Err() == nil {
				t.Errorf("delete of %s: %v", name, err)
			}
			return writes
		}
		writes += 2
	}
}

// checkNothingLost reads the store that no server uses: each value that a Service has had
// is claimed by it or reserved for it.
func checkNothingLost(t *testing.T, s *store, held *heldValues) {
	t.Helper()
	opened, err := etcd.StartEmbedded(t.Context(), s.dir())
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, opened)
	contents := framework.Read(t, opened.Client)
	framework.ExpectQuiet(t, verify.Check(contents))
	holders := map[string]string{"0": ""}
	for _, address := range contents.IPAddresses {
		holders[address.Name] = address.Spec.ParentRef.Name
	}
	for _, port := range contents.NodePorts {
		holders[port.Name] = port.Spec.ParentRef.Name
	}
	for i := range contents.LoadBalancerIPs {
		address := &contents.LoadBalancerIPs[i]
		for _, holder := range address.Spec.Holders {
			holders[address.Name] = holder.Name
		}
		if len(address.Spec.Holders) == 0 {
			holders[address.Name] = address.Spec.ParentRef.Name
		}
	}
	for name, values := range maps.All(held.byName) {
		for _, value := range values {
			if holders[value] != name {
				t.Errorf("%s of %s is held by %q", value, name, holders[value])
			}
		}
	}
}
