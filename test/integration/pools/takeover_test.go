package pools

import (
	"context"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// createExternal creates a Service to which another controller gives addresses.
func createExternal(t *testing.T, server *framework.Server, svc *v1.Service, ips ...string) {
	t.Helper()
	created := create(t, server, svc)
	for _, ip := range ips {
		created.Status.LoadBalancer.Ingress = append(created.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
	}
	if _, err := servicesOf(server).UpdateStatus(t.Context(), created, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestTakeover creates a pool with addresses that another controller has given to Services,
// and new Services at once. Each of the old ones keeps its address, and the new ones get others.
func TestTakeover(t *testing.T) {
	t.Parallel()
	etcd := framework.StartEtcd(t)
	server := framework.StartAll(t, func(o *options.Options) { dualStack(o); framework.On(etcd)(o) })
	const old = 20
	for i := range old {
		createExternal(t, server, balancer(fmt.Sprintf("old-%d", i)), fmt.Sprintf("192.0.2.%d", i+1))
	}
	newPool(t, server, "public", ranges(fmt.Sprintf("192.0.2.1-192.0.2.%d", old+1)))
	for i := range 3 {
		svc := create(t, server, balancer(fmt.Sprintf("new-%d", i)))
		if i == 0 {
			expectAddresses(t, svc, fmt.Sprintf("192.0.2.%d", old+1))
		} else if got := addresses(svc); len(got) > 0 {
			t.Errorf("%s has %v, which another Service uses", svc.Name, got)
		}
	}
	for i := range old {
		await(t, server, fmt.Sprintf("old-%d", i), fmt.Sprintf("192.0.2.%d", i+1))
		framework.Eventually(t, "the claim of an old Service", claimExists(server, fmt.Sprintf("192.0.2.%d", i+1)))
	}
	remove(t, server, "old-7")
	await(t, server, "new-1", "192.0.2.8")
	framework.Verify(t, etcd.Client)
}

// TestUseOfOthers rejects an address that a Service uses and can't claim: no pool has what
// else it uses.
func TestUseOfOthers(t *testing.T) {
	t.Parallel()
	server := startServing(t)
	const both = "192.0.2.1"
	createExternal(t, server, balancer("old", sharing("k")), both, "192.0.2.9")
	newPool(t, server, "public", cidrs("192.0.2.0/29"))
	address := annotated(v1.LoadBalancerIPsAnnotation, both)
	expectRefused(t, server, `metadata.annotations[portolan.dev/load-balancer-ips]: Invalid value: "192.0.2.1": `+
		"the address is already allocated by services.portolan.dev/default/old, which does not share it under the key of the Service",
		sharing("l"), onPort(8080), address)
	expectAddresses(t, create(t, server, balancer("sharer", sharing("k"), onPort(8080), address)), both)
	svc, err := servicesOf(server).Get(t.Context(), "old", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := addresses(svc); !slices.Equal(got, []string{both, "192.0.2.9"}) || len(svc.Status.Conditions) > 0 {
		t.Errorf("the status became %+v", svc.Status)
	}
	// What it uses is free when it is gone.
	remove(t, server, "sharer")
	newPool(t, server, "small", func(spec *v1.LoadBalancerPoolSpec) {
		spec.CIDRs, spec.Allocation = []string{"192.0.2.9/32"}, ptr.To(v1.AllocationOnRequest)
	})
	waits := create(t, server, balancer("waits", annotated(v1.LoadBalancerPoolAnnotation, "small")))
	expectWaiting(t, waits, "range is full: small (192.0.2.9/32) holds 0 of 1; Services use 1 that they do not claim yet")
	remove(t, server, "old")
	await(t, server, "waits", "192.0.2.9")
	framework.Eventually(t, "the other address is free", func(ctx context.Context) (bool, error) {
		svc, err := servicesOf(server).Create(ctx, balancer("new", address), metav1.CreateOptions{})
		return err == nil && len(addresses(svc)) == 1, err
	})
}

// TestTakeoverUnderQuota leaves a Service what another controller has given it, although its
// namespace may claim nothing. It claims the address once it may.
func TestTakeoverUnderQuota(t *testing.T) {
	t.Parallel()
	server := startServing(t)
	quotas := server.Client.PortolanV1().ClaimQuotas("default")
	quota := &v1.ClaimQuota{ObjectMeta: metav1.ObjectMeta{Name: "none"}}
	quota.Spec.Hard = map[string]int64{v1.LoadBalancerIPQuota: 0}
	if _, err := quotas.Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	createExternal(t, server, balancer("old"), "192.0.2.1")
	newPool(t, server, "public", cidrs("192.0.2.1/32"))
	framework.Eventually(t, "a reason why it does not claim its address", func(ctx context.Context) (bool, error) {
		svc, err := servicesOf(server).Get(ctx, "old", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		if got := addresses(svc); !slices.Equal(got, []string{"192.0.2.1"}) {
			t.Errorf("it has the addresses %v", got)
		}
		condition := meta.FindStatusCondition(svc.Status.Conditions, v1.ServiceConditionLoadBalancerAddress)
		return condition != nil && condition.Status == metav1.ConditionFalse && condition.Reason == v1.ReasonQuotaExceeded,
			fmt.Errorf("the status is %+v", svc.Status)
	})
	if err := quotas.Delete(t.Context(), "none", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Eventually(t, "the claim", claimExists(server, "192.0.2.1"))
}

// claimExists returns a condition that is met once a Service holds a load-balancer address.
func claimExists(server *framework.Server, name string) func(ctx context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		claim, err := server.Client.PortolanV1().LoadBalancerIPs().Get(ctx, name, metav1.GetOptions{})
		return err == nil && len(claim.Spec.Holders) > 0, err
	}
}
