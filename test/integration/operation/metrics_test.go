package operation

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	clientv1 "github.com/portolan-dev/portolan/generated/clientset/versioned/typed/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

func withRanges(ports string, cidrs ...string) func(*options.Options) {
	return func(o *options.Options) { o.ClusterIPRanges, o.NodePortRanges = cidrs, []string{ports} }
}

func servicesOf(server *framework.Server) clientv1.ServiceInterface {
	return server.Client.PortolanV1().Services("default")
}

// service asks for an address, unless that is to be picked, and for a node port,
// unless that is negative.
func service(name, address string, nodePort int32) *v1.Service {
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}}
	svc.Spec.Ports = []corev1.ServicePort{{Name: "a", Port: 80}}
	svc.Spec.ClusterIP = address
	if nodePort >= 0 {
		svc.Spec.Type, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, nodePort
	}
	return svc
}

// addresses and ports are the gauges of a range.
func addresses(want map[string]float64, cidr string, allocated, available float64) {
	want[fmt.Sprintf(`portolan_clusterip_allocator_allocated_ips{cidr=%q}`, cidr)] = allocated
	want[fmt.Sprintf(`portolan_clusterip_allocator_available_ips{cidr=%q}`, cidr)] = available
}

func ports(want map[string]float64, name, automatic string, allocated, available float64) {
	want[fmt.Sprintf(`portolan_nodeport_allocator_allocated_ports{auto_assign=%q, range=%q}`, automatic, name)] = allocated
	want[fmt.Sprintf(`portolan_nodeport_allocator_available_ports{auto_assign=%q, range=%q}`, automatic, name)] = available
}

var gauges = []string{
	"portolan_clusterip_allocator_allocated_ips", "portolan_clusterip_allocator_available_ips",
	"portolan_nodeport_allocator_allocated_ports", "portolan_nodeport_allocator_available_ports",
}

// TestRanges looks at how full ranges are said to be: before the first
// allocation, after a restart, and as ranges come and go.
func TestRanges(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	first := framework.Start(t, withRanges("20000-20009", "10.96.0.0/24", "fd00:96::/112"))
	want := map[string]float64{}
	addresses(want, "10.96.0.0/24", 0, 254)
	addresses(want, "fd00:96::/112", 0, 65535)
	ports(want, "kubernetes", "true", 0, 10)
	expect(t, "before the first allocation", first, want, gauges...)

	for _, svc := range []*v1.Service{service("b", "10.96.0.7", 20007), service("a", "", 0), service("c", "", -1)} {
		if _, err := servicesOf(first).Create(ctx, svc, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	reserved := &v1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "10.96.0.10"}}
	reserved.Spec.ParentRef = &v1.ParentReference{Resource: "reservations", Name: "dns"}
	if _, err := first.Client.PortolanV1().IPAddresses().Create(ctx, reserved, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	addresses(want, "10.96.0.0/24", 4, 250)
	ports(want, "kubernetes", "true", 2, 8)
	expect(t, "after some", first, want, gauges...)
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}

	second := framework.Start(t, func(o *options.Options) { o.DataDir = first.DataDir })
	if got := own(t, second, gauges...); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the first scrape after a restart has\n%v\nwant\n%v", got, want)
	}

	cidrs, portRanges := second.Client.PortolanV1().ServiceCIDRs(), second.Client.PortolanV1().NodePortRanges()
	for name, cidr := range map[string]string{"same": "10.96.0.0/24", "more": "10.97.0.0/28"} {
		if _, err := cidrs.Create(ctx,
			&v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name},
				Spec: v1.ServiceCIDRSpec{CIDRs: []string{cidr}}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	wellKnown := &v1.NodePortRange{
		ObjectMeta: metav1.ObjectMeta{Name: "well-known"}, Spec: v1.NodePortRangeSpec{Ports: []string{"80", "443"}, AutoAssign: ptr.To(false)},
	}
	if _, err := portRanges.Create(ctx, wellKnown, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	addresses(want, "10.97.0.0/28", 0, 14)
	ports(want, "well-known", "false", 0, 2)
	expect(t, "with a second ServiceCIDR of one CIDR, and other ranges", second, want, gauges...)

	for _, name := range []string{"same", "more"} {
		if err := cidrs.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := portRanges.Delete(ctx, "well-known", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	clear(want)
	addresses(want, "10.96.0.0/24", 4, 250)
	addresses(want, "fd00:96::/112", 0, 65535)
	ports(want, "kubernetes", "true", 2, 8)
	expect(t, "without them", second, want, gauges...)
}

const (
	addressTotal  = "portolan_clusterip_allocator_allocation_total"
	addressErrors = "portolan_clusterip_allocator_allocation_errors_total"
	addressTimes  = "portolan_clusterip_allocator_allocation_duration_seconds_count"
	portTotal     = "portolan_nodeport_allocator_allocation_total"
	portErrors    = "portolan_nodeport_allocator_allocation_errors_total"
	transactions  = "portolan_transactions_total"
	attempts      = "portolan_service_write_attempts_count"
	operations    = "portolan_transaction_operations_count"
	addressLost   = "portolan_clusterip_allocator_lost_picks_total"
	portLost      = "portolan_nodeport_allocator_lost_picks_total"
)

var counters = []string{
	addressTotal, addressErrors, addressTimes, portTotal, portErrors, transactions, attempts, operations, addressLost, portLost,
}

// untouched are the counters of a server that has done nothing.
func untouched() map[string]float64 {
	want := map[string]float64{attempts: 0, operations: 0, addressLost: 0, portLost: 0}
	for _, scope := range []string{"static", "dynamic"} {
		want[fmt.Sprintf("%s{scope=%q}", portTotal, scope)] = 0
		want[fmt.Sprintf("%s{scope=%q}", portErrors, scope)] = 0
	}
	for _, outcome := range []string{"committed", "object_conflict", "claim_conflict", "error", "full", "unknown"} {
		want[fmt.Sprintf("%s{outcome=%q}", transactions, outcome)] = 0
	}
	return want
}

// TestServersDontMix runs two servers in this process.
func TestServersDontMix(t *testing.T) {
	t.Parallel()
	busy, idle := framework.Start(t, withRanges("20000-20009", "10.96.0.0/24")), framework.Start(t, withRanges("21000-21009", "10.99.0.0/24"))
	for _, svc := range []*v1.Service{service("a", "", 0), service("b", "", 0)} {
		if _, err := servicesOf(busy).Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "the idle server's counters", idle, untouched(), counters...)
	want := map[string]float64{}
	addresses(want, "10.99.0.0/24", 0, 254)
	ports(want, "kubernetes", "true", 0, 10)
	expect(t, "the idle server's ranges", idle, want, gauges...)
	clear(want)
	addresses(want, "10.96.0.0/24", 2, 252)
	ports(want, "kubernetes", "true", 2, 8)
	expect(t, "the busy server's ranges", busy, want, gauges...)
}

// TestReplicasThatRace makes two replicas pick from a range of two addresses at
// once until one has lost a pick, and then wants their books to balance.
func TestReplicasThatRace(t *testing.T) {
	t.Parallel()
	_, replicas := framework.Replicas(t, 2, withRanges("20000-20009", "10.96.0.0/30"))
	lost := func() (sum float64) {
		for _, replica := range replicas {
			sum += own(t, replica, addressLost)[addressLost]
		}
		return sum
	}
	rounds := 0
	for ; lost() == 0; rounds++ {
		if rounds == 500 {
			t.Fatal("no pick was lost")
		}
		var pair sync.WaitGroup
		for i, replica := range replicas {
			pair.Go(func() {
				name := fmt.Sprintf("r%d", i)
				if _, err := servicesOf(replica).Create(t.Context(), service(name, "", -1), metav1.CreateOptions{}); err != nil {
					t.Errorf("round %d: %v", rounds, err)
				}
				if err := servicesOf(replica).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
					t.Errorf("round %d: %v", rounds, err)
				}
			})
		}
		pair.Wait()
		if t.Failed() {
			return
		}
	}
	for i, replica := range replicas {
		samples := map[string]float64{}
		for _, sample := range parse(t, scrape(t, replica.Client, metricsPath)) {
			samples[sample.Metric.String()] = float64(sample.Value)
		}
		if got := samples[addressTotal+`{cidr="10.96.0.0/30", scope="dynamic"}`]; got != float64(rounds) {
			t.Errorf("replica %d: %v addresses in %d rounds", i, got, rounds)
		}
		if got := samples[attempts]; got != float64(2*rounds) {
			t.Errorf("replica %d: %v writes in %d rounds", i, got, rounds)
		}
		tries, sent := samples["portolan_service_write_attempts_sum"], samples[operations]
		if tries != sent {
			t.Errorf("replica %d: %v attempts, %v transactions", i, tries, sent)
		}
	}
}

// TestIndexFollows wants the revision of the index and its lag to be exported.
func TestIndexFollows(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, withRanges("20000-20009", "10.96.0.0/24"))
	svc, err := servicesOf(server).Create(t.Context(), service("a", "", 0), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var revision float64
	if _, err := fmt.Sscan(svc.ResourceVersion, &revision); err != nil {
		t.Fatal(err)
	}
	for _, class := range []string{"IPv4", "Port"} {
		label := fmt.Sprintf("{class=%q}", class)
		for name, want := range map[string]float64{
			"portolan_allocation_index_revision": revision, "portolan_allocation_index_awaiting_seconds": 0,
			"portolan_allocation_index_lag_seconds_count": 1,
		} {
			series := name + label
			framework.Eventually(t, series, func(context.Context) (bool, error) {
				value, there := own(t, server, name)[series]
				return there && value == want, fmt.Errorf("it is %v, want %v", value, want)
			})
		}
	}
}

// TestNames holds the names to Prometheus's conventions.
func TestNames(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	if _, err := servicesOf(server).Create(t.Context(), service("a", "", 0), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var ours strings.Builder
	for line := range strings.Lines(scrape(t, server.Client, metricsPath)) {
		if strings.Contains(line, "portolan_") {
			ours.WriteString(line)
		}
	}
	if !strings.Contains(ours.String(), transactions) {
		t.Fatal("there is nothing to check")
	}
	problems, err := testutil.NewPromLinter(strings.NewReader(ours.String())).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}
