package pools

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// one counts the writes of a request.
func one(t *testing.T, etcd *framework.Etcd, what string, request func()) {
	t.Helper()
	before := revisionOf(t, etcd.Client)
	request()
	if after := revisionOf(t, etcd.Client); after != before+1 {
		t.Errorf("%s made %d writes", what, after-before)
	}
}

// TestAddressInOneWrite follows a load-balancer address from the creation of its Service to
// the end.
func TestAddressInOneWrite(t *testing.T) {
	t.Parallel()
	etcd := framework.StartEtcd(t)
	server := framework.Start(t, func(o *options.Options) { dualStack(o); framework.On(etcd)(o) })
	newPool(t, server, "public", cidrs("192.0.2.8/32", "2001:db8::8/128"))
	services := servicesOf(server)
	var svc *v1.Service
	one(t, etcd, "create", func() { svc = create(t, server, balancer("web", withFamilies(corev1.IPFamilyPolicyRequireDualStack))) })
	expectAddresses(t, svc, "192.0.2.8", "2001:db8::8")
	if mode := svc.Status.LoadBalancer.Ingress[0].IPMode; mode == nil || *mode != corev1.LoadBalancerIPModeVIP {
		t.Errorf("the mode is %v", mode)
	}
	claim, err := server.Client.PortolanV1().LoadBalancerIPs().Get(t.Context(), "2001:db8::8", metav1.GetOptions{})
	if err != nil || claim.ResourceVersion != svc.ResourceVersion || len(claim.Spec.Holders) != 1 || claim.Spec.Holders[0].UID != svc.UID ||
		len(claim.Spec.Holders[0].Ports) != 1 || claim.Spec.Holders[0].Ports[0] != (v1.LoadBalancerIPPort{Protocol: "TCP", Port: 80}) {
		t.Errorf("the claim is %+v, %v", claim, err)
	}

	waiting := create(t, server, balancer("late"))
	expectWaiting(t, waiting, "range is full: public (192.0.2.8/32) holds 1 of 1")
	before := revisionOf(t, etcd.Client)
	if _, err := services.Update(t.Context(), waiting, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
	if after := revisionOf(t, etcd.Client); after != before {
		t.Errorf("an update of a waiting Service that changes nothing made %d writes", after-before)
	}

	one(t, etcd, "another port", func() {
		svc = patch(t, server, "web", types.JSONPatchType, `[{"op":"replace","path":"/spec/ports/0/port","value":81}]`)
	})
	expectAddresses(t, svc, "192.0.2.8", "2001:db8::8")
	one(t, etcd, "one family", func() {
		svc = patch(t, server, "web", types.MergePatchType, `{"spec":{"ipFamilyPolicy":"SingleStack"}}`)
	})
	expectAddresses(t, svc, "192.0.2.8")
	expectClaims(t, server, "192.0.2.8")
	framework.Verify(t, etcd.Client)

	one(t, etcd, "another type", func() { svc = patch(t, server, "web", types.MergePatchType, `{"spec":{"type":"ClusterIP"}}`) })
	if len(svc.Status.LoadBalancer.Ingress) > 0 || len(svc.Status.Conditions) > 0 {
		t.Errorf("the status is %+v", svc.Status)
	}
	expectClaims(t, server)
	one(t, etcd, "an update of the waiting Service", func() {
		if waiting, err = services.Update(t.Context(), waiting, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	expectAddresses(t, waiting, "192.0.2.8")
	one(t, etcd, "delete", func() {
		if err := services.Delete(t.Context(), "late", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	expectClaims(t, server)
	framework.Verify(t, etcd.Client)
}

func patch(t *testing.T, server *framework.Server, name string, kind types.PatchType, body string) *v1.Service {
	t.Helper()
	svc, err := servicesOf(server).Patch(t.Context(), name, kind, []byte(body), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

// expectClaims wants these to be all claims.
func expectClaims(t *testing.T, server *framework.Server, want ...string) {
	t.Helper()
	list, err := server.Client.PortolanV1().LoadBalancerIPs().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("the claims are %v, want %v", names, want)
	}
}

// TestNamedAddresses has Services name addresses in every way.
func TestNamedAddresses(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, dualStack)
	newPool(t, server, "public", cidrs("192.0.2.0/28"))
	newPool(t, server, "team", func(spec *v1.LoadBalancerPoolSpec) {
		spec.CIDRs, spec.ServiceSelector = []string{"198.51.100.0/30"}, &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
	})
	newPool(t, server, "reserve", func(spec *v1.LoadBalancerPoolSpec) {
		spec.CIDRs, spec.Allocation = []string{"203.0.113.0/30"}, ptr.To(v1.AllocationOnRequest)
	})
	expectAddresses(t, create(t, server, balancer("field", func(svc *v1.Service) { svc.Spec.LoadBalancerIP = "192.0.2.1" })), "192.0.2.1")
	for i, annotation := range []string{
		v1.LoadBalancerIPsAnnotation, "metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs", "lbipam.cilium.io/ips",
	} {
		address := fmt.Sprint("192.0.2.1", i)
		expectAddresses(t, create(t, server, balancer(fmt.Sprint("named-", i), annotated(annotation, address))), address)
	}
	expectAddresses(t, create(t, server, balancer("on-request", annotated(v1.LoadBalancerIPsAnnotation, "203.0.113.1"))), "203.0.113.1")
	pooled := create(t, server, balancer("pooled", annotated("metallb.io/address-pool", "reserve")))
	if got := addresses(pooled); len(got) != 1 || !strings.HasPrefix(got[0], "203.0.113.") {
		t.Errorf("of the pool reserve: %v", got)
	}

	const ips = "metadata.annotations[portolan.dev/load-balancer-ips]: Invalid value: "
	for address, want := range map[string]string{
		"192.0.2.1":    ips + `"192.0.2.1": the address is already allocated by services.portolan.dev/default/field`,
		"10.0.0.1":     ips + `"10.0.0.1": the address lies in no LoadBalancerPool`,
		"198.51.100.1": ips + `"198.51.100.1": failed to allocate the load-balancer address: the range "team" does not select the Service`,
		"2001:db8::1":  ips + `"2001:db8::1": the Service has no IPv6 addresses (spec.ipFamilies)`,
		"web":          ips + `"web": must be IP addresses, separated by commas; "web" is not one`,
	} {
		expectRefused(t, server, want, annotated(v1.LoadBalancerIPsAnnotation, address))
	}
	const pool = "metadata.annotations[portolan.dev/load-balancer-pool]: "
	expectRefused(t, server, pool+`Not found: "missing"`, annotated(v1.LoadBalancerPoolAnnotation, "missing"))
	expectRefused(t, server, pool+`Invalid value: "team": the range does not select the Service`,
		annotated(v1.LoadBalancerPoolAnnotation, "team"))
}

// expectRefused wants a 422, and the same of a dry run.
func expectRefused(t *testing.T, server *framework.Server, want string, change ...func(*v1.Service)) {
	t.Helper()
	for _, dryRun := range [][]string{{metav1.DryRunAll}, nil} {
		_, err := servicesOf(server).Create(t.Context(), balancer("refused", change...), metav1.CreateOptions{DryRun: dryRun})
		if !apierrors.IsInvalid(err) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("dry run %v: got %v\nwant a 422 with %s", dryRun, err, want)
		}
	}
}

// TestSharing has Services share an address.
func TestSharing(t *testing.T) {
	t.Parallel()
	etcd := framework.StartEtcd(t)
	server := framework.Start(t, framework.On(etcd))
	framework.CreateNamespace(t, server.Config, "other")
	newPool(t, server, "public", cidrs("192.0.2.8/32"))
	expectAddresses(t, create(t, server, balancer("web", sharing("k"))), "192.0.2.8")
	one(t, etcd, "join", func() {
		expectAddresses(t, create(t, server, balancer("tls", sharing("k"), onPort(443))), "192.0.2.8")
	})
	one(t, etcd, "join with UDP", func() {
		expectAddresses(t, create(t, server, balancer("dns", annotated("metallb.io/allow-shared-ip", "k"), func(svc *v1.Service) {
			svc.Spec.Ports[0].Protocol = corev1.ProtocolUDP
		})), "192.0.2.8")
	})
	if got := holdersOf(t, server, "192.0.2.8"); strings.Join(got, " ") != "web tls dns" {
		t.Errorf("the holders are %v", got)
	}
	const named = "metadata.annotations[portolan.dev/load-balancer-ips]: "
	const at = `Invalid value: "192.0.2.8": the address is already allocated by `
	address := annotated(v1.LoadBalancerIPsAnnotation, "192.0.2.8")
	expectRefused(t, server, named+at+"services.portolan.dev/default/web, which serves TCP port 80 there", sharing("k"), address)
	expectRefused(t, server, named+at+"services.portolan.dev/default/web, which does not share it under the key of the Service",
		sharing("other"), onPort(8080), address)
	expectRefused(t, server, named+at+"services.portolan.dev/default/web", onPort(8080), address)
	elsewhere := balancer("elsewhere", sharing("k"), onPort(8080))
	svc, err := server.Client.PortolanV1().Services("other").Create(t.Context(), elsewhere, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expectWaiting(t, svc, "range is full: public (192.0.2.8/32) holds 1 of 1")

	// A port that another holder serves.
	_, err = servicesOf(server).Patch(t.Context(), "tls", types.JSONPatchType,
		[]byte(`[{"op":"replace","path":"/spec/ports/0/port","value":80}]`), metav1.PatchOptions{})
	want := "the Service can't keep 192.0.2.8, and there is no other: range is full: public (192.0.2.8/32) holds 1 of 1"
	if !apierrors.IsInvalid(err) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v\nwant a 422 with %s", err, want)
	}
	one(t, etcd, "leave", func() {
		if err := servicesOf(server).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	one(t, etcd, "another port", func() {
		expectAddresses(t, patch(t, server, "tls", types.JSONPatchType, `[{"op":"replace","path":"/spec/ports/0/port","value":80}]`), "192.0.2.8")
	})
	if got := holdersOf(t, server, "192.0.2.8"); strings.Join(got, " ") != "tls dns" {
		t.Errorf("the holders are %v", got)
	}

	// The pool allows others.
	body := `{"spec":{"sharing":"AcrossNamespaces"}}`
	pools := server.Client.PortolanV1().LoadBalancerPools()
	if _, err := pools.Patch(t.Context(), "public", types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if svc, err = server.Client.PortolanV1().Services("other").Update(t.Context(), svc, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	expectAddresses(t, svc, "192.0.2.8")
	framework.Verify(t, etcd.Client)
	if err := servicesOf(server).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	if got := holdersOf(t, server, "192.0.2.8"); strings.Join(got, " ") != "elsewhere" {
		t.Errorf("the holders are %v", got)
	}
	framework.Verify(t, etcd.Client)
}

// TestNamespacesThatShare has Services share an address with another namespace only if both
// of them allow it.
func TestNamespacesThatShare(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, dualStack)
	framework.CreateNamespace(t, server.Config, "other")
	newPool(t, server, "public", func(spec *v1.LoadBalancerPoolSpec) {
		spec.CIDRs, spec.Sharing = []string{"192.0.2.8/32"}, ptr.To(v1.SharingAcrossNamespaces)
	})
	key := annotated("lbipam.cilium.io/sharing-key", "k")
	with := func(namespaces string) func(*v1.Service) {
		return annotated("lbipam.cilium.io/sharing-cross-namespace", namespaces)
	}
	others := server.Client.PortolanV1().Services("other")
	create(t, server, balancer("web", key))
	joining := balancer("tls", key, with("*"), onPort(443), annotated(v1.LoadBalancerIPsAnnotation, "192.0.2.8"))
	_, err := others.Create(t.Context(), joining, metav1.CreateOptions{})
	const want = "already allocated by services.portolan.dev/default/web, which does not share it with the namespace of the Service"
	if !apierrors.IsInvalid(err) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v\nwant a 422 with %s", err, want)
	}
	patch(t, server, "web", types.MergePatchType, `{"metadata":{"annotations":{"lbipam.cilium.io/sharing-cross-namespace":"other"}}}`)
	joined, err := others.Create(t.Context(), joining, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expectAddresses(t, joined, "192.0.2.8")
}

// TestOwnedStatus has another controller write the status of Services.
func TestOwnedStatus(t *testing.T) {
	t.Parallel()
	etcd := framework.StartEtcd(t)
	server := framework.Start(t, framework.On(etcd))
	ctx, services := t.Context(), servicesOf(server)
	foreign := create(t, server, balancer("foreign"))
	if len(foreign.Status.Conditions) > 0 {
		t.Errorf("without a pool: %+v", foreign.Status)
	}
	write := func(svc *v1.Service, address string, conditions ...metav1.Condition) *v1.Service {
		t.Helper()
		svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
		svc.Status.Conditions = conditions
		written, err := services.UpdateStatus(ctx, svc, metav1.UpdateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return written
	}
	forged := metav1.Condition{
		Type: v1.ServiceConditionLoadBalancerAddress, Status: metav1.ConditionTrue, Reason: "Forged", LastTransitionTime: metav1.Now(),
	}
	foreign = write(foreign, "192.0.2.99", forged)
	if len(foreign.Status.Conditions) > 0 || addresses(foreign)[0] != "192.0.2.99" {
		t.Errorf("another controller's: %+v", foreign.Status)
	}

	newPool(t, server, "public", cidrs("192.0.2.8/32", "198.51.100.0/30"))
	owned := create(t, server, balancer("owned", annotated(v1.LoadBalancerIPsAnnotation, "192.0.2.8")))
	owned = write(owned, "192.0.2.77")
	expectAddresses(t, owned, "192.0.2.8")
	// Its own address is in no pool, so that it stays.
	foreign = patch(t, server, "foreign", types.MergePatchType, `{"metadata":{"labels":{"a":"b"}}}`)
	if got := addresses(foreign); len(got) != 1 || got[0] != "192.0.2.99" || len(foreign.Status.Conditions) > 0 {
		t.Errorf("it has the status %+v", foreign.Status)
	}
	// An address of a pool becomes the pool's.
	write(foreign, "198.51.100.2")
	foreign = patch(t, server, "foreign", types.MergePatchType, `{"metadata":{"labels":{"a":"c"}}}`)
	expectAddresses(t, foreign, "198.51.100.2")
	expectClaims(t, server, "192.0.2.8", "198.51.100.2")
	framework.Verify(t, etcd.Client)
}

// TestPoolInUse has a pool lose addresses that are held.
func TestPoolInUse(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	ctx, pools := t.Context(), server.Client.PortolanV1().LoadBalancerPools()
	newPool(t, server, "public", cidrs("192.0.2.0/28"))
	create(t, server, balancer("web", annotated(v1.LoadBalancerIPsAnnotation, "192.0.2.9")))
	const held = "192.0.2.9 is held by services.portolan.dev/default/web and lies in no other range"
	refused := func(what string, err error, is func(error) bool) {
		t.Helper()
		if !is(err) || !strings.Contains(err.Error(), held) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	refused("delete", pools.Delete(ctx, "public", metav1.DeleteOptions{}), apierrors.IsConflict)
	for what, spec := range map[string]v1.LoadBalancerPoolSpec{
		"smaller":  {CIDRs: []string{"192.0.2.0/29"}},
		"excluded": {CIDRs: []string{"192.0.2.0/28"}, Exclude: []string{"192.0.2.9"}},
		"range":    {Ranges: []string{"192.0.2.10-192.0.2.15"}},
	} {
		body, err := json.Marshal(map[string]any{"spec": map[string]any{"cidrs": spec.CIDRs, "ranges": spec.Ranges, "exclude": spec.Exclude}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = pools.Patch(ctx, "public", types.MergePatchType, body, metav1.PatchOptions{})
		refused(what, err, apierrors.IsInvalid)
	}
	// A pool that is disabled keeps what is held and gives nothing new.
	disabled := []byte(`{"spec":{"allocation":"Disabled"}}`)
	if _, err := pools.Patch(ctx, "public", types.MergePatchType, disabled, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	expectAddresses(t, patch(t, server, "web", types.MergePatchType, `{"metadata":{"labels":{"a":"b"}}}`), "192.0.2.9")
	if svc := create(t, server, balancer("new")); len(svc.Status.LoadBalancer.Ingress) > 0 {
		t.Errorf("a disabled pool gave %v", addresses(svc))
	}
	refused("delete while disabled", pools.Delete(ctx, "public", metav1.DeleteOptions{}), apierrors.IsConflict)
	if err := server.Client.PortolanV1().LoadBalancerIPs().Delete(ctx, "192.0.2.9", metav1.DeleteOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("deletion of a held claim: %v", err)
	}
	remove(t, server, "web")
	if err := pools.Delete(ctx, "public", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}
