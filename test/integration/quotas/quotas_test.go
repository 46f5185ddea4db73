package quotas

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

func start(t *testing.T) (*framework.Etcd, *framework.Server) {
	t.Helper()
	etcd := framework.StartEtcd(t)
	return etcd, framework.Start(t, func(o *options.Options) { dualStack(o); framework.On(etcd)(o) })
}

// TestTotals follows what Services hold through creates, updates and deletes.
func TestTotals(t *testing.T) {
	t.Parallel()
	etcd, server := start(t)
	one(t, etcd.Client, "the quota", func() {
		newQuota(t, server, "team", map[string]int64{"clusterips.ipv4": 3, "clusterips.ipv6": 1, "nodeports": 3})
	})
	expectUsed(t, "team", map[string]int64{"clusterips.ipv4": 0, "clusterips.ipv6": 0, "nodeports": 0}, server)
	one(t, etcd.Client, "create", func() { create(t, server, service("a", corev1.ServiceTypeClusterIP, 1)) })
	dual := service("b", corev1.ServiceTypeLoadBalancer, 2)
	dual.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
	dual.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	one(t, etcd.Client, "a create of many values", func() { create(t, server, dual) })
	expectUsed(t, "team", map[string]int64{"clusterips.ipv4": 2, "clusterips.ipv6": 1, "nodeports": 3}, server)
	expectPermits(t, etcd.Client, 12)
	framework.Verify(t, etcd.Client)

	refused := func(what string, svc *v1.Service, want string) {
		t.Helper()
		writes(t, etcd.Client, what, 0, func() {
			_, err := servicesOf(server).Create(t.Context(), svc, metav1.CreateOptions{})
			expectExceeded(t, err, want)
			_, err = servicesOf(server).Create(t.Context(), svc, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			expectExceeded(t, err, want)
		})
	}
	refused("node ports", service("c", corev1.ServiceTypeNodePort, 2), "team, requested: nodeports=2, used: nodeports=3, limited: nodeports=3")
	another := service("c", corev1.ServiceTypeClusterIP, 1)
	another.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol}
	refused("an address", another, "team, requested: clusterips.ipv6=1, used: clusterips.ipv6=1, limited: clusterips.ipv6=1")
	if _, err := servicesOf(server).Create(t.Context(), service("a", corev1.ServiceTypeNodePort, 1),
		metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a Service that exists: %v", err)
	}
	framework.CreateNamespace(t, server.Config, "other")
	if _, err := server.Client.PortolanV1().Services("other").Create(t.Context(), service("c", corev1.ServiceTypeNodePort, 2),
		metav1.CreateOptions{}); err != nil {
		t.Errorf("another namespace: %v", err)
	}

	// An update exchanges values although the quota is used up.
	one(t, etcd.Client, "another node port", func() {
		patchService(t, server, "b", `[{"op":"replace","path":"/spec/ports/0/nodePort","value":31234}]`)
	})
	writes(t, etcd.Client, "an update to more", 0, func() {
		_, err := servicesOf(server).Patch(t.Context(), "a", types.MergePatchType, []byte(`{"spec":{"type":"NodePort"}}`), metav1.PatchOptions{})
		expectExceeded(t, err, "team, requested: nodeports=1, used: nodeports=3, limited: nodeports=3")
	})
	one(t, etcd.Client, "another label", func() { patchService(t, server, "b", `[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`) })
	one(t, etcd.Client, "fewer ports", func() { patchService(t, server, "b", `[{"op":"remove","path":"/spec/ports/1"}]`) })
	expectUsed(t, "team", map[string]int64{"clusterips.ipv4": 2, "clusterips.ipv6": 1, "nodeports": 2}, server)
	one(t, etcd.Client, "another type", func() { patchService(t, server, "a", `[{"op":"replace","path":"/spec/type","value":"NodePort"}]`) })
	framework.Verify(t, etcd.Client)
	one(t, etcd.Client, "delete", func() { deleteService(t, server, "b") })
	expectUsed(t, "team", map[string]int64{"clusterips.ipv4": 1, "clusterips.ipv6": 0, "nodeports": 1}, server)
	expectPermits(t, etcd.Client, 4)
	one(t, etcd.Client, "the end of the quota", func() {
		if err := quotasOf(server).Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	expectPermits(t, etcd.Client, 0)
	create(t, server, service("d", corev1.ServiceTypeNodePort, 5))
	deleteService(t, server, "a")
	framework.Verify(t, etcd.Client)
}

func patchService(t *testing.T, server *framework.Server, name, patch string) *v1.Service {
	t.Helper()
	svc, err := servicesOf(server).Patch(t.Context(), name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

// TestOverServices makes and changes quotas over Services that exist already.
func TestOverServices(t *testing.T) {
	t.Parallel()
	store, servers := framework.Replicas(t, 2, dualStack)
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		create(t, servers[0], service(name, corev1.ServiceTypeNodePort, 1))
	}
	newQuota(t, servers[1], "team", map[string]int64{"nodeports": 2})
	expectUsed(t, "team", map[string]int64{"nodeports": 4}, servers...)
	expectFull := func(used, limit string) {
		t.Helper()
		for i, server := range servers {
			writes(t, store.Client, "a create", 0, func() {
				_, err := servicesOf(server).Create(t.Context(), service("more", corev1.ServiceTypeNodePort, 1), metav1.CreateOptions{})
				expectExceeded(t, err, "team, requested: nodeports=1, used: nodeports="+used+", limited: nodeports="+limit)
				if t.Failed() {
					t.Fatalf("at server %d", i)
				}
			})
		}
	}
	expectFull("4", "2")
	// What is held can be exchanged and given back.
	patchService(t, servers[0], "a", `[{"op":"replace","path":"/spec/ports/0/nodePort","value":31234}]`)
	expectUsed(t, "team", map[string]int64{"nodeports": 4}, servers...)
	deleteService(t, servers[1], "b")
	expectFull("3", "2")
	deleteService(t, servers[0], "a")
	expectFull("2", "2")
	deleteService(t, servers[0], "c")
	create(t, servers[1], service("e", corev1.ServiceTypeNodePort, 1))
	expectFull("2", "2")
	framework.Verify(t, store.Client)

	setQuota(t, servers[0], "team", map[string]int64{"nodeports": 3})
	create(t, servers[1], service("f", corev1.ServiceTypeNodePort, 1))
	setQuota(t, servers[1], "team", map[string]int64{"nodeports": 1})
	expectUsed(t, "team", map[string]int64{"nodeports": 3}, servers...)
	patchService(t, servers[0], "f", `[{"op":"replace","path":"/spec/ports/0/nodePort","value":31235}]`)
	for _, name := range []string{"d", "e"} {
		deleteService(t, servers[1], name)
	}
	_, err := servicesOf(servers[0]).Create(t.Context(), service("g", corev1.ServiceTypeNodePort, 1), metav1.CreateOptions{})
	expectExceeded(t, err, "team, requested: nodeports=1, used: nodeports=1, limited: nodeports=1")
	deleteService(t, servers[0], "f")
	create(t, servers[1], service("g", corev1.ServiceTypeNodePort, 1))
	expectPermits(t, store.Client, 2)
	framework.Verify(t, store.Client)
}

// TestSeveral has two quotas in one namespace, limits of ranges, and limits that come and go.
func TestSeveral(t *testing.T) {
	t.Parallel()
	etcd, server := start(t)
	ports := &v1.NodePortRange{ObjectMeta: metav1.ObjectMeta{Name: "games"}, Spec: v1.NodePortRangeSpec{Ports: []string{"20000-20009"}}}
	if _, err := server.Client.PortolanV1().NodePortRanges().Create(t.Context(), ports, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	game := func(name string, nodePort int32) *v1.Service {
		svc := service(name, corev1.ServiceTypeNodePort, 1)
		svc.Spec.Ports[0].NodePort = nodePort
		return svc
	}
	create(t, server, game("before", 20001))
	newQuota(t, server, "team", map[string]int64{"nodeports/games": 2, "clusterips.ipv4": 10})
	newQuota(t, server, "all", map[string]int64{"nodeports": 3, "nodeports/none": 0})
	create(t, server, game("a", 20002))
	expectUsed(t, "team", map[string]int64{"nodeports/games": 2, "clusterips.ipv4": 2}, server)
	_, err := servicesOf(server).Create(t.Context(), game("b", 20003), metav1.CreateOptions{})
	expectExceeded(t, err, "team, requested: nodeports/games=1, used: nodeports/games=2, limited: nodeports/games=2")
	create(t, server, game("b", 30003))
	_, err = servicesOf(server).Create(t.Context(), game("c", 30004), metav1.CreateOptions{})
	expectExceeded(t, err, "all, requested: nodeports=1, used: nodeports=3, limited: nodeports=3")
	framework.Verify(t, etcd.Client)

	// A range that grows counts what lies in it from then on.
	grown, err := server.Client.PortolanV1().NodePortRanges().Patch(t.Context(), "games", types.MergePatchType,
		[]byte(`{"spec":{"ports":["20000-20009","30003"]}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(grown, err)
	}
	expectUsed(t, "team", map[string]int64{"nodeports/games": 3, "clusterips.ipv4": 3}, server)
	setQuota(t, server, "all", map[string]int64{"nodeports": 9})
	deleteService(t, server, "a")
	_, err = servicesOf(server).Create(t.Context(), game("c", 20004), metav1.CreateOptions{})
	expectExceeded(t, err, "team, requested: nodeports/games=1, used: nodeports/games=2, limited: nodeports/games=2")
	deleteService(t, server, "before")
	create(t, server, game("c", 20004))

	// A limit that comes back counts anew.
	setQuota(t, server, "team", map[string]int64{"clusterips.ipv4": 10})
	create(t, server, game("d", 20005))
	setQuota(t, server, "team", map[string]int64{"clusterips.ipv4": 10, "nodeports/games": 4})
	expectUsed(t, "team", map[string]int64{"nodeports/games": 3, "clusterips.ipv4": 3}, server)
	framework.Verify(t, etcd.Client)
	if err := servicesOf(server).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	expectUsed(t, "team", map[string]int64{"nodeports/games": 0, "clusterips.ipv4": 0}, server)
	expectPermits(t, etcd.Client, 0)
	framework.Verify(t, etcd.Client)
}

// TestSharedAddress counts a load-balancer address once in each namespace.
func TestSharedAddress(t *testing.T) {
	t.Parallel()
	etcd, server := start(t)
	createPool(t, server, "public", "192.0.2.8/29")
	newQuota(t, server, "team", map[string]int64{"loadbalancerips": 1, "loadbalancerips/public": 5})
	balancer := func(name string, port int32) *v1.Service {
		svc := service(name, corev1.ServiceTypeLoadBalancer, 1)
		svc.Annotations = map[string]string{v1.LoadBalancerSharingKeyAnnotation: "k"}
		svc.Spec.Ports[0].Port = port
		return svc
	}
	create(t, server, balancer("a", 80))
	create(t, server, balancer("b", 81))
	expectUsed(t, "team", map[string]int64{"loadbalancerips": 1, "loadbalancerips/public": 1}, server)
	_, err := servicesOf(server).Create(t.Context(), balancer("c", 80), metav1.CreateOptions{})
	expectExceeded(t, err, "team, requested: loadbalancerips=1, used: loadbalancerips=1, limited: loadbalancerips=1")
	deleteService(t, server, "a")
	expectUsed(t, "team", map[string]int64{"loadbalancerips": 1, "loadbalancerips/public": 1}, server)
	framework.Verify(t, etcd.Client)
	deleteService(t, server, "b")
	expectUsed(t, "team", map[string]int64{"loadbalancerips": 0, "loadbalancerips/public": 0}, server)
	expectPermits(t, etcd.Client, 0)
	framework.Verify(t, etcd.Client)
}

// TestObject covers what a client sees of a ClaimQuota.
func TestObject(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, dualStack)
	bad := &v1.ClaimQuota{ObjectMeta: metav1.ObjectMeta{Name: "bad"}, Spec: v1.ClaimQuotaSpec{Hard: map[string]int64{"nodeports": -1}}}
	_, err := quotasOf(server).Create(t.Context(), bad, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || err.(apierrors.APIStatus).Status().Details.Causes[0].Field != "spec.hard[nodeports]" {
		t.Errorf("got %v", err)
	}
	quota := newQuota(t, server, "team", map[string]int64{"nodeports": 5, "clusterips.ipv4": 2})
	if quota.Status.Used["nodeports"] != 0 || len(quota.Status.Used) != 2 {
		t.Errorf("the answer to the create has %v", quota.Status)
	}
	create(t, server, service("a", corev1.ServiceTypeNodePort, 2))
	list, err := server.Client.PortolanV1().ClaimQuotas("").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].Status.Used["nodeports"] != 2 {
		t.Errorf("the list is %+v, %v", list, err)
	}
	raw, err := server.Client.PortolanV1().RESTClient().Get().Namespace(namespace).Resource("claimquotas").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	var table metav1.Table
	if err == nil {
		err = json.Unmarshal(raw, &table)
	}
	if err != nil || len(table.Rows) != 1 || table.Rows[0].Cells[1] != "clusterips.ipv4: 1/2, nodeports: 2/5" {
		t.Errorf("the table is %s, %v", raw, err)
	}
}

// TestWatch expects what is used in the events of a watch, the first and later ones.
func TestWatch(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, dualStack)
	newQuota(t, server, "team", map[string]int64{"nodeports": 5})
	create(t, server, service("a", corev1.ServiceTypeNodePort, 2))
	events, err := quotasOf(server).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(events.Stop)
	expect := func(kind watch.EventType, want map[string]int64) {
		t.Helper()
		event := <-events.ResultChan()
		quota, _ := event.Object.(*v1.ClaimQuota)
		if event.Type != kind || quota == nil || !maps.Equal(quota.Status.Used, want) {
			t.Fatalf("got %s %+v, want %s with %v", event.Type, event.Object, kind, want)
		}
	}
	expect(watch.Added, map[string]int64{"nodeports": 2})
	setQuota(t, server, "team", map[string]int64{"nodeports": 5, "clusterips.ipv4": 2})
	expect(watch.Modified, map[string]int64{"nodeports": 2, "clusterips.ipv4": 1})
}

// TestWaiting has a Service that waits for a load-balancer address go on waiting because of a
// quota, which does not keep it from being updated.
func TestWaiting(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, dualStack)
	createWaiting(t, server, "late")
	svc := patchService(t, server, "late", `[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`)
	if conditions := svc.Status.Conditions; len(conditions) != 1 || conditions[0].Reason != v1.ReasonQuotaExceeded ||
		!strings.Contains(conditions[0].Message, "limited: loadbalancerips=0") || len(svc.Status.LoadBalancer.Ingress) > 0 {
		t.Errorf("the status is %+v", svc.Status)
	}
	setQuota(t, server, "team", map[string]int64{"loadbalancerips": 1})
	svc = patchService(t, server, "late", `[{"op":"add","path":"/metadata/labels","value":{"a":"c"}}]`)
	if len(svc.Status.LoadBalancer.Ingress) != 1 {
		t.Errorf("the status is %+v", svc.Status)
	}
	expectUsed(t, "team", map[string]int64{"loadbalancerips": 1}, server)
}

// TestWaitingForSecondFamily has a quota keep the second address from a Service that holds one,
// which does not keep the Service from being updated.
func TestWaitingForSecondFamily(t *testing.T) {
	t.Parallel()
	server := framework.StartAll(t, dualStack)
	newQuota(t, server, "team", map[string]int64{"loadbalancerips": 1})
	createPool(t, server, "four", "192.0.2.1/32")
	dual := service("dual", corev1.ServiceTypeLoadBalancer, 1)
	dual.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyPreferDualStack)
	create(t, server, dual)
	createPool(t, server, "six", "2001:db8::1/128")
	svc := patchService(t, server, "dual", `[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`)
	if conditions := svc.Status.Conditions; len(conditions) != 1 || conditions[0].Reason != v1.ReasonPartlyAllocated ||
		len(svc.Status.LoadBalancer.Ingress) != 1 {
		t.Errorf("the status is %+v", svc.Status)
	}
	// The controller updates the Service too. While one of the two requests has picked the
	// address, the other finds the pool full.
	awaitCondition(t, server, "dual", v1.ReasonPartlyAllocated, "limited: loadbalancerips=1")
	expectUsed(t, "team", map[string]int64{"loadbalancerips": 1}, server)
	setQuota(t, server, "team", map[string]int64{"loadbalancerips": 2})
	framework.Eventually(t, "the Service has both addresses", func(ctx context.Context) (bool, error) {
		svc, err := servicesOf(server).Get(ctx, "dual", metav1.GetOptions{})
		return err == nil && len(svc.Status.LoadBalancer.Ingress) == 2, err
	})
	expectUsed(t, "team", map[string]int64{"loadbalancerips": 2}, server)
}

// TestServedWhenRaised has the controllers serve a Service that waited for a full pool, then
// because of a quota, when the quota is raised.
func TestServedWhenRaised(t *testing.T) {
	t.Parallel()
	server := framework.StartAll(t, dualStack)
	createWaiting(t, server, "late")
	awaitCondition(t, server, "late", v1.ReasonQuotaExceeded, "")
	setQuota(t, server, "team", map[string]int64{"loadbalancerips": 1})
	awaitCondition(t, server, "late", v1.ReasonAllocated, "")
}
