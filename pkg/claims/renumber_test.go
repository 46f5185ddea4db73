package claims

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

// movingLedger is a ledger whose etcd has the ranges from and to.
func movingLedger(t testing.TB, from, to runtime.Object) *Ledger {
	t.Helper()
	keys := map[string]*mvccpb.KeyValue{}
	l := newLedger(t, keys)
	for i, r := range []runtime.Object{from, to} {
		for _, k := range l.stored {
			if fmt.Sprintf("%T", k.newRange()) != fmt.Sprintf("%T", r) {
				continue
			}
			put, err := k.ranges.Encode(t.Context(), nameOf(r), r)
			if err != nil {
				t.Fatal(err)
			}
			keys[put.Key] = &mvccpb.KeyValue{Key: []byte(put.Key), Value: put.Value, ModRevision: int64(i + 1)}
		}
	}
	return l
}

// moving returns the context of a request that renumbers.
func moving(t testing.TB, l *Ledger, ranges string) context.Context {
	ctx, picks := requeststate.NewPicks(t.Context(), l.Index)
	t.Cleanup(picks.End)
	state := requeststate.From(ctx)
	state.Move = &requeststate.Move{Ranges: ranges, From: "old", To: "new"}
	return requeststate.With(ctx, state)
}

func cidrOf(name string, cidrs ...string) *v1.ServiceCIDR {
	return &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.ServiceCIDRSpec{CIDRs: cidrs}}
}

func portsOf(name, ports string) *v1.NodePortRange {
	return &v1.NodePortRange{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.NodePortRangeSpec{Ports: []string{ports}}}
}

// expectMoved compares what a Service holds before and after a move with the rule: a value in
// from and not in to is replaced by a free one of to, and all others stay.
func expectMoved(t *testing.T, l *Ledger, before, after *v1.Service, in func(name string, value allocation.Value) bool,
	moves []v1.ValueMove) {
	t.Helper()
	had, has := holdingsOf(before), holdingsOf(after)
	if len(had) != len(has) {
		t.Fatalf("held %v, and now %v", had, has)
	}
	moved := 0
	for value, held := range had {
		if in("old", value) && !in("new", value) {
			moved++
			at := slices.IndexFunc(moves, func(m v1.ValueMove) bool { return m.From == value.String() })
			if at < 0 {
				t.Fatalf("%s was not moved", value)
			}
			other, _ := kindOf(value.Class).parse(moves[at].To)
			other.Class = value.Class
			if now, ok := has[other]; !ok || !now.equals(held) || !in("new", other) {
				t.Errorf("%s became %s; the Service holds %v", value, other, has)
			}
			if claim, taken := l.Index.Lookup(other); taken {
				t.Errorf("%s became %s, which is claimed: %v", value, other, claim)
			}
		} else if now, ok := has[value]; !ok || !now.equals(held) {
			t.Errorf("%s was given up; the Service holds %v", value, has)
		}
	}
	if moved != len(moves) {
		t.Errorf("%d values had to move; moved %v", moved, moves)
	}
}

// TestRenumberModel moves random addresses between random ranges, which may overlap.
func TestRenumberModel(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		prefix := func() netip.Prefix {
			addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(8) * 32)})
			return netip.PrefixFrom(addr, 24+random.IntN(4)).Masked()
		}
		ranges := map[string]netip.Prefix{"old": prefix(), "new": prefix()}
		l := movingLedger(t, cidrOf("old", ranges["old"].String()), cidrOf("new", ranges["new"].String()))
		for range random.IntN(20) {
			l.Index.Observe(address(fmt.Sprintf("10.0.0.%d", random.IntN(256))), heldBy("other", 5))
		}
		before := newService(func(spec *corev1.ServiceSpec) {
			spec.ClusterIPs = []string{fmt.Sprintf("10.0.0.%d", 1+random.IntN(250))}
		})
		value := allocation.Address(netip.MustParseAddr(before.Spec.ClusterIPs[0]))
		l.Index.Observe(value, heldBy(before.UID, 6))
		after := before.DeepCopy()
		ctx := moving(t, l, "servicecidrs")
		moves, err := l.Renumber(ctx, after)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if requeststate.From(ctx).Picks.Rejection() != nil {
			t.Fatalf("seed %d: refused: %v", seed, requeststate.From(ctx).Picks.Rejection())
		}
		expectMoved(t, l, before, after, func(name string, v allocation.Value) bool {
			return space.PrefixSpan(ranges[name]).Contains(v.Number)
		}, moves)
		if again, err := l.Renumber(ctx, after); err != nil || len(again) != 0 {
			t.Errorf("seed %d: again: moved %v, %v", seed, again, err)
		}
		if t.Failed() {
			t.Fatalf("seed %d: %v, %s", seed, ranges, value)
		}
	}
}

// TestRenumberPorts keeps which ports of a Service share a node port.
func TestRenumberPorts(t *testing.T) {
	l := movingLedger(t, portsOf("old", "30000-30099"), portsOf("new", "31000-31004"))
	in := func(name string, v allocation.Value) bool {
		return v.Class == allocation.Port && v.Number.Port()/1000 == map[string]int32{"old": 30, "new": 31}[name]
	}
	before := newService(func(spec *corev1.ServiceSpec) {
		spec.Type, spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal
		spec.HealthCheckNodePort = 30050
		spec.ClusterIPs = []string{"10.0.0.5"}
		spec.Ports = []corev1.ServicePort{
			servicePort(53, 30053, "UDP"), servicePort(53, 30053, "TCP"), servicePort(80, 31001, "TCP"), servicePort(81, 32000, "TCP"),
			servicePort(82, 30001, "UDP"), servicePort(82, 30002, "TCP"),
		}
	})
	l.Index.Observe(port(31001), heldBy(before.UID, 5))
	ctx, after := moving(t, l, "nodeportranges"), before.DeepCopy()
	moves, err := l.Renumber(ctx, after)
	if err != nil {
		t.Fatal(err)
	}
	expectMoved(t, l, before, after, in, moves)
	if ports := after.Spec.Ports; ports[0].NodePort != ports[1].NodePort || ports[4].NodePort == ports[5].NodePort {
		t.Errorf("got %+v", ports)
	}

	// One value more than the target has: nothing is left half done in the picks.
	full := newService(func(spec *corev1.ServiceSpec) {
		spec.Type = corev1.ServiceTypeNodePort
		for i := range int32(6) {
			spec.Ports = append(spec.Ports, servicePort(80+i, 30010+i, "TCP"))
		}
	})
	ctx = moving(t, l, "nodeportranges")
	if moves, err := l.Renumber(ctx, full); err != nil || moves != nil || requeststate.From(ctx).Picks.Rejection() == nil {
		t.Errorf("a full target: moved %v, %v", moves, err)
	}
}

// TestRenumberFamilies moves only the family that both ranges have.
func TestRenumberFamilies(t *testing.T) {
	l := movingLedger(t, cidrOf("old", "10.0.0.0/24", "fd00::/120"), cidrOf("new", "fd01::/120"))
	svc := newService(func(spec *corev1.ServiceSpec) {
		spec.ClusterIP, spec.ClusterIPs = "10.0.0.5", []string{"10.0.0.5", "fd00::5"}
	})
	moves, err := l.Renumber(moving(t, l, "servicecidrs"), svc)
	if err != nil || len(moves) != 1 || svc.Spec.ClusterIP != "10.0.0.5" || svc.Spec.ClusterIPs[0] != "10.0.0.5" ||
		!netip.MustParsePrefix("fd01::/120").Contains(netip.MustParseAddr(svc.Spec.ClusterIPs[1])) {
		t.Errorf("moved %v, %v: %v", moves, err, svc.Spec.ClusterIPs)
	}
}
