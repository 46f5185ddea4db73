package pools

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/controllers/loadbalancer"
	"github.com/portolan-dev/portolan/test/framework"
)

// startServing starts a server that serves Services that wait.
func startServing(t *testing.T) *framework.Server {
	t.Helper()
	return framework.StartAll(t, dualStack)
}

// ranges sets the ranges of a pool.
func ranges(ranges ...string) func(*v1.LoadBalancerPoolSpec) {
	return func(spec *v1.LoadBalancerPoolSpec) { spec.Ranges = ranges }
}

// await waits until a Service has addresses.
func await(t *testing.T, server *framework.Server, name string, want ...string) {
	t.Helper()
	framework.Eventually(t, name+" is served", func(ctx context.Context) (bool, error) {
		svc, err := servicesOf(server).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		got := addresses(svc)
		return len(got) > 0 && (len(want) == 0 || fmt.Sprint(got) == fmt.Sprint(want)), fmt.Errorf("it has %v: %+v", got, svc.Status.Conditions)
	})
}

// stillWaits wants a Service to have no address.
func stillWaits(t *testing.T, server *framework.Server, names ...string) {
	t.Helper()
	for _, name := range names {
		svc, err := servicesOf(server).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := addresses(svc); len(got) > 0 {
			t.Errorf("%s has %v, before Services that have waited for longer", name, got)
		}
	}
}

// awaitEvent waits for an event about a Service.
func awaitEvent(t *testing.T, server *framework.Server, service, reason, text string) {
	t.Helper()
	core, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	framework.Eventually(t, "an event "+reason+" about "+service, func(ctx context.Context) (bool, error) {
		events, err := core.CoreV1().Events("default").List(ctx,
			metav1.ListOptions{FieldSelector: "involvedObject.name=" + service + ",reason=" + reason})
		if err != nil {
			return false, err
		}
		for _, event := range events.Items {
			if strings.Contains(event.Message, text) && event.Source.Component == loadbalancer.Component {
				return true, nil
			}
		}
		return false, fmt.Errorf("there are %v", events.Items)
	})
}

// TestWaitingServices serves Services that wait, oldest first, as addresses come free, as the
// pool grows, and as another pool appears.
func TestWaitingServices(t *testing.T) {
	t.Parallel()
	server := startServing(t)
	newPool(t, server, "public", ranges("192.0.2.1-192.0.2.2"))
	expectAddresses(t, create(t, server, balancer("first", annotated(v1.LoadBalancerIPsAnnotation, "192.0.2.1"))), "192.0.2.1")
	expectAddresses(t, create(t, server, balancer("second")), "192.0.2.2")
	// Creation times have seconds, and names decide among equals.
	for _, name := range []string{"wait-1", "wait-2", "wait-3", "wait-4"} {
		if got := addresses(create(t, server, balancer(name))); len(got) > 0 {
			t.Fatalf("%s has %v of a full pool", name, got)
		}
	}
	awaitEvent(t, server, "wait-1", v1.ReasonPoolFull, "public")

	remove(t, server, "first")
	await(t, server, "wait-1", "192.0.2.1")
	stillWaits(t, server, "wait-2", "wait-3", "wait-4")
	awaitEvent(t, server, "wait-1", v1.ReasonAllocated, "192.0.2.1")

	// A Service that is no load balancer any more leaves its address to others.
	if _, err := servicesOf(server).Patch(t.Context(), "second", types.MergePatchType, []byte(`{"spec":{"type":"ClusterIP"}}`),
		metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, server, "wait-2", "192.0.2.2")
	stillWaits(t, server, "wait-3", "wait-4")

	if _, err := server.Client.PortolanV1().LoadBalancerPools().Patch(t.Context(), "public", types.MergePatchType,
		[]byte(`{"spec":{"ranges":["192.0.2.1-192.0.2.3"]}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, server, "wait-3", "192.0.2.3")
	stillWaits(t, server, "wait-4")

	newPool(t, server, "more", cidrs("198.51.100.7/32"))
	await(t, server, "wait-4", "198.51.100.7")
}

// TestPoolForServicesThatExist serves Services that are older than the first pool of their
// class, and leaves others to their controllers.
func TestPoolForServicesThatExist(t *testing.T) {
	t.Parallel()
	server := startServing(t)
	create(t, server, balancer("plain"))
	create(t, server, balancer("classed", func(svc *v1.Service) { svc.Spec.LoadBalancerClass = ptr.To("example.com/lb") }))
	external := create(t, server, balancer("external"))
	external.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.9"}}
	if _, err := servicesOf(server).UpdateStatus(t.Context(), external, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	newPool(t, server, "plain", cidrs("192.0.2.0/31"))
	await(t, server, "plain")
	stillWaits(t, server, "classed")
	newPool(t, server, "classed", func(spec *v1.LoadBalancerPoolSpec) {
		spec.CIDRs, spec.LoadBalancerClass = []string{"198.51.100.1/32"}, ptr.To("example.com/lb")
	})
	await(t, server, "classed", "198.51.100.1")
	await(t, server, "external", "203.0.113.9")
}

// TestWaitingForOneOfSeveralPools serves a Service that waits for one pool, although older
// ones wait for another that stays full.
func TestWaitingForOneOfSeveralPools(t *testing.T) {
	t.Parallel()
	server := startServing(t)
	onRequest := func(address string) func(*v1.LoadBalancerPoolSpec) {
		return func(spec *v1.LoadBalancerPoolSpec) {
			spec.CIDRs, spec.Allocation = []string{address}, ptr.To(v1.AllocationOnRequest)
		}
	}
	newPool(t, server, "a", onRequest("192.0.2.1/32"))
	newPool(t, server, "b", onRequest("192.0.2.2/32"))
	from := func(pool string) func(*v1.Service) { return annotated(v1.LoadBalancerPoolAnnotation, pool) }
	create(t, server, balancer("holds-a", from("a")))
	create(t, server, balancer("holds-b", from("b")))
	create(t, server, balancer("old-a", from("a")))
	create(t, server, balancer("waits-b", from("b")))
	remove(t, server, "holds-b")
	await(t, server, "waits-b", "192.0.2.2")
	stillWaits(t, server, "old-a")
}

// TestWaitingToShare serves a Service that waits for a port of a shared address.
func TestWaitingToShare(t *testing.T) {
	t.Parallel()
	server := startServing(t)
	newPool(t, server, "public", cidrs("192.0.2.1/32"))
	create(t, server, balancer("web", sharing("k")))
	expectAddresses(t, create(t, server, balancer("tls", sharing("k"), onPort(443))), "192.0.2.1")
	if got := addresses(create(t, server, balancer("other-web", sharing("k")))); len(got) > 0 {
		t.Fatalf("two Services have port 80 of %v", got)
	}
	remove(t, server, "web")
	await(t, server, "other-web", "192.0.2.1")
}

// TestSecondFamily gives dual-stack Services an address of each family as soon as there is one.
func TestSecondFamily(t *testing.T) {
	t.Parallel()
	server := startServing(t)
	newPool(t, server, "four", cidrs("192.0.2.0/30"))
	preferred := withFamilies(corev1.IPFamilyPolicyPreferDualStack)
	before := addresses(create(t, server, balancer("before", preferred)))
	if len(before) != 1 {
		t.Fatalf("the Service has %v of a pool of one family", before)
	}
	newPool(t, server, "six", cidrs("2001:db8::1/128"))
	await(t, server, "before", before[0], "2001:db8::1")

	after := create(t, server, balancer("after", preferred))
	condition := meta.FindStatusCondition(after.Status.Conditions, v1.ServiceConditionLoadBalancerAddress)
	const lack = "waits for one of the other: range is full: six (2001:db8::1/128) holds 1 of 1"
	if condition == nil || condition.Status != metav1.ConditionTrue || condition.Reason != v1.ReasonPartlyAllocated ||
		!strings.HasSuffix(condition.Message, lack) {
		t.Errorf("the condition is %+v", condition)
	}
	awaitEvent(t, server, "after", v1.ReasonPartlyAllocated, lack)
	remove(t, server, "before")
	await(t, server, "after", addresses(after)[0], "2001:db8::1")
	awaitEvent(t, server, "after", v1.ReasonAllocated, "2001:db8::1")
}
