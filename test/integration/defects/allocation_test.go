package defects

import (
	"fmt"
	"net/netip"
	"slices"
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

// test/integration/api races the same under load.
func TestC1RefusedUpdatesReleaseAndTakeNothing(t *testing.T) {
	w := start(t)
	held := w.create(newService("held", at("10.96.0.5"), onPort(30005)))
	if _, err := w.services.Patch(t.Context(), "held", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`),
		metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName, corev1.ServiceTypeNodePort} {
		stale := held.DeepCopy()
		stale.Spec.Type, stale.Spec.ExternalName = kind, "a.example.com"
		stale.Spec.Ports[0].NodePort = 0
		if kind == corev1.ServiceTypeNodePort {
			stale.Spec.Ports[0].NodePort = 30006
		}
		_, err := w.services.Update(t.Context(), stale, metav1.UpdateOptions{})
		w.expect("stale update to "+string(kind), err, apierrors.IsConflict)
		w.refused(newService("thief", at("10.96.0.5")), "provided IP is already allocated")
		w.refused(newService("thief", onPort(30005)), "provided port is already allocated")
	}
	w.create(newService("other", onPort(30006)))
}

func TestC3ExternalNameHoldsNoNodePort(t *testing.T) {
	w := start(t)
	w.create(newService("owner", onPort(30005)))
	external := newService("external", ofType(corev1.ServiceTypeExternalName))
	external.Spec.ExternalName, external.Spec.Ports[0].NodePort = "a.example.com", 30005
	w.refused(external, "spec.ports[0].nodePort")
	external.Spec.Ports[0].NodePort = 0
	w.create(external)
	if err := w.services.Delete(t.Context(), "external", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.refused(newService("thief", onPort(30005)), "provided port is already allocated")
}

func TestC4SpellingsOfAnAddressAreOneClaim(t *testing.T) {
	w := start(t)
	const typed = "FD00:10:96:0::00A0"
	svc := w.create(newService("typed", at(typed)))
	if svc.Spec.ClusterIP != typed {
		t.Errorf("the Service says %s, the client wrote %s", svc.Spec.ClusterIP, typed)
	}
	if _, err := w.Client.PortolanV1().IPAddresses().Get(t.Context(), "fd00:10:96::a0", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	for _, same := range []string{"fd00:10:96::a0", "fd00:10:96:0:0:0:0:a0", typed} {
		w.refused(newService("thief", at(same)), "provided IP is already allocated")
	}
}

func TestC8SecondAddressRefusedLeavesTheFirstFree(t *testing.T) {
	w := start(t)
	w.create(newService("owner", at("fd00:10:96::5")))
	for range 6 {
		w.refused(newService("pair", at("10.96.0.5", "fd00:10:96::5")), "failed to allocate IP fd00:10:96::5: provided IP is already allocated")
	}
	// The error shows what the client wrote, not what was picked.
	half := newService("half", at("fd00:10:96::5"))
	half.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
	w.refused(half, `Invalid value: ["fd00:10:96::5",""]: failed to allocate IP fd00:10:96::5`)
	w.create(newService("single", at("10.96.0.5")))
}

func TestC9DryRunsTellTheTruth(t *testing.T) {
	w := start(t)
	w.create(newService("owner", at("10.96.0.5"), onPort(30005)))
	if err := createCIDR(w, "second", "10.97.0.0/24"); err != nil {
		t.Fatal(err)
	}
	w.refused(newService("dry", at("10.96.0.5")), "failed to allocate IP 10.96.0.5: provided IP is already allocated")
	w.refused(newService("dry", at("10.96.0.0")), "failed to allocate IP 10.96.0.0: the provided network does not match the current range")
	w.refused(newService("dry", onPort(5)), "provided port is not in the valid range. The range of valid ports is 30000-30099")
	w.refused(newService("dry", onPort(30005)), "provided port is already allocated")
	n := w.writes(func() {
		for i := range 12 {
			if _, err := w.services.Create(t.Context(), newService("dry", at("10.97.0.7")), metav1.CreateOptions{DryRun: dryRun}); err != nil {
				t.Errorf("dry run %d of a free address: %v", i, err)
			}
		}
		both := newService("dry", onPort(0))
		both.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
		got, err := w.services.Create(t.Context(), both, metav1.CreateOptions{DryRun: dryRun})
		if err != nil {
			t.Fatal(err)
		}
		inRange := func(address, cidr string) bool {
			return netip.MustParsePrefix(cidr).Contains(netip.MustParseAddr(address))
		}
		ips, port := got.Spec.ClusterIPs, got.Spec.Ports[0].NodePort
		if len(ips) != 2 || !inRange(ips[0], "10.96.0.0/15") || !inRange(ips[1], "fd00:10:96::/112") || port < 30000 || port > 30099 ||
			port == 30005 {
			t.Errorf("a dry run got %v and %d", ips, port)
		}
		if got.ResourceVersion != "" || got.UID == "" {
			t.Errorf("a dry run got resourceVersion %q and uid %q", got.ResourceVersion, got.UID)
		}
	})
	if n != 0 {
		t.Errorf("dry runs wrote %d times", n)
	}
	_, err := w.services.Patch(t.Context(), "owner", types.MergePatchType, []byte(`{"spec":{"ports":[{"port":80,"nodePort":70}]}}`),
		metav1.PatchOptions{DryRun: dryRun})
	w.expect("dry run of a patch", err, apierrors.IsInvalid, "spec.ports[0].nodePort", "valid range")
}

func TestC9DryRunsOfRangesTellTheTruth(t *testing.T) {
	w := start(t)
	w.create(newService("owner", at("10.96.0.5"), onPort(30005)))
	cidrs, ranges := w.Client.PortolanV1().ServiceCIDRs(), w.Client.PortolanV1().NodePortRanges()
	n := w.writes(func() {
		err := cidrs.Delete(t.Context(), "kubernetes", metav1.DeleteOptions{DryRun: dryRun})
		w.expect("delete of a ServiceCIDR in use", err, apierrors.IsConflict, "10.96.0.5 is held by services")
		err = ranges.Delete(t.Context(), "kubernetes", metav1.DeleteOptions{DryRun: dryRun})
		w.expect("delete of a NodePortRange in use", err, apierrors.IsConflict, "30005 is held by services")
		_, err = ranges.Patch(t.Context(), "kubernetes", types.MergePatchType, []byte(`{"spec":{"ports":["30050-30099"]}}`),
			metav1.PatchOptions{DryRun: dryRun})
		w.expect("shrink of a NodePortRange in use", err, apierrors.IsInvalid, "30005 is held by services")
		got, err := ranges.Patch(t.Context(), "kubernetes", types.MergePatchType, []byte(`{"spec":{"ports":["30000-30049"]}}`),
			metav1.PatchOptions{DryRun: dryRun})
		if err != nil || !slices.Equal(got.Spec.Ports, []string{"30000-30049"}) {
			t.Errorf("shrink that may be: %+v, %v", got, err)
		}
	})
	if n != 0 {
		t.Errorf("dry runs wrote %d times", n)
	}
	// Nor did the allocators take them for true.
	w.create(newService("above", onPort(30099)))
}

func TestC10CreateTakesWhatUpdateTakes(t *testing.T) {
	w := start(t)
	twins := newService("dns", onPort(30053))
	twins.Spec.Ports = []corev1.ServicePort{
		{Name: "tcp", Port: 53, Protocol: corev1.ProtocolTCP, NodePort: 30053},
		{Name: "udp", Port: 54, Protocol: corev1.ProtocolUDP, NodePort: 30053},
	}
	w.create(twins.DeepCopy())
	// Others still can't share it.
	udp := newService("other", onPort(30053))
	udp.Spec.Ports[0].Protocol = corev1.ProtocolUDP
	w.refused(udp, "provided port is already allocated")
}

func TestC15ServersWithDifferentRangesAgree(t *testing.T) {
	t.Parallel()
	ranges := []string{"30000-30009", "31000-31009"}
	n := 0
	store, servers := framework.Replicas(t, 2, func(o *options.Options) {
		o.NodePortRanges, o.ClusterIPRanges = ranges[n:n+1], []string{fmt.Sprintf("10.%d.0.0/24", 96+n)}
		n++
	})
	for i := range 10 {
		svc, err := servers[i%2].Client.PortolanV1().Services("default").Create(t.Context(), newService(fmt.Sprint("s", i), onPort(0)),
			metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if port := svc.Spec.Ports[0].NodePort; port < 30000 || port > 30009 || !strings.HasPrefix(svc.Spec.ClusterIP, "10.96.0.") {
			t.Errorf("server %d gave out %s and %d", i%2, svc.Spec.ClusterIP, port)
		}
	}
	framework.Verify(t, store.Client)
}

func TestC16SmallCIDRsAllocate(t *testing.T) {
	for cidr, addresses := range map[string][]string{
		"10.97.0.4/31":         {"10.97.0.4", "10.97.0.5"},
		"10.97.0.4/32":         {"10.97.0.4"},
		"fd00:10:97::4/127":    {"fd00:10:97::4", "fd00:10:97::5"},
		"fd00:10:97::4/128":    {"fd00:10:97::4"},
		"fd00:10:97:ff00::/56": nil,
	} {
		t.Run(strings.ReplaceAll(cidr, "/", "-"), func(t *testing.T) {
			w := start(t, func(o *options.Options) { o.ClusterIPRanges = []string{cidr} })
			for i := range max(1, len(addresses)) {
				got := w.create(newService(fmt.Sprint("s", i))).Spec.ClusterIP
				if addresses != nil && !slices.Contains(addresses, got) {
					t.Errorf("%s gave out %s", cidr, got)
				}
			}
			if addresses != nil {
				w.refused(newService("more"), "range is full", cidr)
			}
		})
	}
}

func TestC19RenamedPortKeepsItsNodePort(t *testing.T) {
	w := start(t)
	svc := newService("web", onPort(0))
	svc.Spec.Ports[0].Name = "http"
	before := w.create(svc)
	svc.Spec.Ports[0].Name, svc.ResourceVersion = "web", ""
	after, err := w.services.Update(t.Context(), svc, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if was, is := before.Spec.Ports[0].NodePort, after.Spec.Ports[0].NodePort; was != is || after.Spec.Ports[0].Name != "web" {
		t.Errorf("the node port was %d and is %d", was, is)
	}
}

func TestC24ManyRanges(t *testing.T) {
	w := start(t)
	ranges := w.Client.PortolanV1().NodePortRanges()
	known := &v1.NodePortRange{
		ObjectMeta: metav1.ObjectMeta{Name: "well-known"}, Spec: v1.NodePortRangeSpec{Ports: []string{"80", "443"}, AutoAssign: ptr.To(false)},
	}
	if _, err := ranges.Create(t.Context(), known, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.create(newService("named", onPort(443)))
	for i := range 20 {
		if port := w.create(newService(fmt.Sprint("open", i), onPort(0))).Spec.Ports[0].NodePort; port < 30000 {
			t.Errorf("%d was picked from a range that is not for picking", port)
		}
	}
}

func createCIDR(w fixture, name string, cidrs ...string) error {
	cidr := &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.ServiceCIDRSpec{CIDRs: cidrs}}
	_, err := w.Client.PortolanV1().ServiceCIDRs().Create(w.Context(), cidr, metav1.CreateOptions{})
	return err
}
