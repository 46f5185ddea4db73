package claims

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
)

func newIndex() *allocation.Index { return allocation.New(time.Now) }

func address(text string) allocation.Value { return allocation.Address(netip.MustParseAddr(text)) }

func port(number int32) allocation.Value { return allocation.NodePort(number) }

// anyone is a Service without labels, in a namespace without labels.
var anyone = Requester{svc: &v1.Service{}}

func newService(change func(*corev1.ServiceSpec)) *v1.Service {
	svc := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "web-uid"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP},
	}
	if change != nil {
		change(&svc.Spec)
	}
	return svc
}

func servicePort(number, nodePort int32, protocol corev1.Protocol) corev1.ServicePort {
	return corev1.ServicePort{Port: number, NodePort: nodePort, Protocol: protocol}
}

// serving is how a Service holds a port.
func serving(protocols ...corev1.Protocol) holding { return holding{protocols: protocols} }

func heldBy(uid types.UID, revision int64) allocation.Claim {
	return allocation.Claim{Holder: v1.ParentReference{UID: uid}, Revision: revision}
}

func addCIDR(index *allocation.Index, name string, revision int64, cidrs ...string) {
	r := &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.ServiceCIDRSpec{CIDRs: cidrs}}
	enterRange(index, addresses{}, r, revision)
}

func addPorts(index *allocation.Index, name string, revision int64, texts ...string) {
	r := &v1.NodePortRange{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.NodePortRangeSpec{Ports: texts}}
	enterRange(index, ports{}, r, revision)
}

func TestHoldings(t *testing.T) {
	tcp, udp := corev1.ProtocolTCP, corev1.ProtocolUDP
	for name, test := range map[string]struct {
		svc  *v1.Service
		want holdings
	}{
		"no Service": {nil, holdings{}},
		"both families": {newService(func(s *corev1.ServiceSpec) { s.ClusterIPs = []string{"10.0.0.5", "fd00::0:5"} }),
			holdings{address("10.0.0.5"): {}, address("fd00::5"): {}}},
		"stored before clusterIPs": {newService(func(s *corev1.ServiceSpec) { s.ClusterIP = "10.0.0.5" }),
			holdings{address("10.0.0.5"): {}}},
		"headless": {newService(func(s *corev1.ServiceSpec) { s.ClusterIP, s.ClusterIPs = "None", []string{"None"} }), holdings{}},
		"external name": {newService(func(s *corev1.ServiceSpec) {
			s.Type, s.ClusterIPs = corev1.ServiceTypeExternalName, []string{"10.0.0.5"}
		}), holdings{}},
		"node ports, one for two protocols": {newService(func(s *corev1.ServiceSpec) {
			s.Type = corev1.ServiceTypeNodePort
			s.Ports = []corev1.ServicePort{
				servicePort(53, 30053, udp), servicePort(53, 30053, tcp), servicePort(80, 30080, tcp), servicePort(81, 0, tcp),
			}
		}), holdings{port(30053): serving(tcp, udp), port(30080): serving(tcp)}},
		"node ports of a type that has none": {newService(func(s *corev1.ServiceSpec) {
			s.Ports = []corev1.ServicePort{servicePort(80, 30080, tcp)}
		}), holdings{}},
		"health check": {newService(func(s *corev1.ServiceSpec) {
			s.Type, s.ExternalTrafficPolicy, s.HealthCheckNodePort = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal, 30100
			s.Ports = []corev1.ServicePort{servicePort(80, 30080, tcp)}
		}), holdings{port(30080): serving(tcp), port(30100): {}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := holdingsOf(test.svc); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestDiffer(t *testing.T) {
	tcp, udp := []corev1.Protocol{"TCP"}, []corev1.Protocol{"UDP"}
	both := []corev1.Protocol{"TCP", "UDP"}
	values := func(values ...allocation.Value) []allocation.Value { return values }
	on := func(protocols []corev1.Protocol) holdings { return holdings{port(80): {protocols: protocols}} }
	for name, test := range map[string]struct {
		before, after holdings
		want          difference
	}{
		"nothing": {nil, nil, difference{}},
		"the same": {holdings{address("10.0.0.5"): {}, port(80): {protocols: tcp}, port(81): {}},
			holdings{address("10.0.0.5"): {}, port(80): {protocols: tcp}, port(81): {}}, difference{}},
		"no protocols and none": {holdings{port(80): {}}, holdings{port(80): {protocols: []corev1.Protocol{}}}, difference{}},
		"create": {
			nil, holdings{address("10.0.0.5"): {}, port(80): {protocols: tcp}}, difference{take: values(address("10.0.0.5"), port(80))},
		},
		"delete": {
			holdings{address("10.0.0.5"): {}, port(80): {protocols: tcp}}, nil, difference{release: values(address("10.0.0.5"), port(80))},
		},
		"other address": {holdings{address("10.0.0.5"): {}}, holdings{address("10.0.0.6"): {}},
			difference{take: values(address("10.0.0.6")), release: values(address("10.0.0.5"))}},
		"second family": {holdings{address("10.0.0.5"): {}}, holdings{address("10.0.0.5"): {}, address("fd00::5"): {}},
			difference{take: values(address("fd00::5"))}},
		"protocol more":            {on(tcp), on(both), difference{rewrite: values(port(80))}},
		"protocol other":           {on(tcp), on(udp), difference{rewrite: values(port(80))}},
		"health check turned port": {on(nil), on(tcp), difference{rewrite: values(port(80))}},
	} {
		t.Run(name, func(t *testing.T) {
			got := diff(test.before, test.after)
			for _, list := range [][]allocation.Value{got.take, got.release, got.rewrite} {
				slices.SortFunc(list, func(a, b allocation.Value) int {
					return cmp.Or(cmp.Compare(a.Class, b.Class), a.Number.Compare(b.Number))
				})
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestNewClaims(t *testing.T) {
	stored := newService(func(s *corev1.ServiceSpec) { s.ClusterIPs = []string{"10.0.0.5"} })
	svc := newService(func(s *corev1.ServiceSpec) { s.ClusterIPs = []string{"10.0.0.5", "fd00::5"} })
	if got := NewClaims(svc, stored); !slices.Equal(got, []allocation.Value{address("fd00::5")}) {
		t.Errorf("got %v", got)
	}
	if got := NewClaims(svc, nil); len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

func TestFamilies(t *testing.T) {
	const v4, v6 = corev1.IPv4Protocol, corev1.IPv6Protocol
	type cidr struct {
		name  string
		cidrs []string
	}
	for name, test := range map[string]struct {
		cidrs []cidr
		want  []corev1.IPFamily
	}{
		"none":             {nil, nil},
		"one family":       {[]cidr{{"kubernetes", []string{"10.0.0.0/24"}}}, []corev1.IPFamily{v4}},
		"both, IPv4 first": {[]cidr{{"kubernetes", []string{"10.0.0.0/24", "fd00::/64"}}}, []corev1.IPFamily{v4, v6}},
		"both, IPv6 first": {[]cidr{{"kubernetes", []string{"fd00::/64", "10.0.0.0/24"}}}, []corev1.IPFamily{v6, v4}},
		"the default rules": {
			[]cidr{{"a", []string{"10.0.0.0/24"}}, {"kubernetes", []string{"fd00::/64"}}}, []corev1.IPFamily{v6, v4},
		},
		"without default, by name": {[]cidr{{"b", []string{"10.0.0.0/24"}}, {"a", []string{"fd00::/64"}}}, []corev1.IPFamily{v6, v4}},
		"without default, both in one": {
			[]cidr{{"b", []string{"10.0.0.0/24"}}, {"a", []string{"fd00::/64", "10.1.0.0/24"}}}, []corev1.IPFamily{v6, v4},
		},
		"nonsense offers nothing": {[]cidr{{"kubernetes", []string{"10.0.0.0"}}, {"b", []string{"fd00::/64"}}}, []corev1.IPFamily{v6}},
	} {
		t.Run(name, func(t *testing.T) {
			index := newIndex()
			for i, c := range test.cidrs {
				addCIDR(index, c.name, int64(i+1), c.cidrs...)
			}
			if got := (&Ledger{Index: index}).Families(); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	t.Run("not usable", func(t *testing.T) {
		index := newIndex()
		enterRange(index, addresses{}, &v1.ServiceCIDR{
			ObjectMeta: metav1.ObjectMeta{Name: "kubernetes", DeletionTimestamp: ptr.To(metav1.Now())}, Spec: v1.ServiceCIDRSpec{
				CIDRs: []string{"10.0.0.0/24"},
			},
		}, 1)
		enterRange(index, addresses{}, &v1.ServiceCIDR{
			ObjectMeta: metav1.ObjectMeta{Name: "b"}, Spec: v1.ServiceCIDRSpec{CIDRs: []string{"fd00::/64"}},
			Status: v1.ServiceCIDRStatus{Conditions: []metav1.Condition{{Type: v1.ServiceCIDRConditionReady, Status: metav1.ConditionFalse}}},
		}, 2)
		if got := (&Ledger{Index: index}).Families(); len(got) > 0 {
			t.Errorf("got %v", got)
		}
	})
}

func TestUsage(t *testing.T) {
	index := newIndex()
	ledger := &Ledger{Index: index}
	addCIDR(index, "kubernetes", 1, "10.0.0.0/24", "fd00::/8")
	addPorts(index, "kubernetes", 1, "443", "30000-30099")
	index.Observe(address("10.0.0.5"), allocation.Claim{Revision: 2})
	index.Observe(address("fd00::5"), allocation.Claim{Revision: 2})
	index.Observe(port(443), allocation.Claim{Revision: 2})
	index.Observe(port(30001), allocation.Claim{Revision: 2})
	for cidr, want := range map[string][3]int64{
		"10.0.0.0/24": {254, 1, 253},
		"fd00::/8":    {math.MaxInt64, 1, math.MaxInt64},
		"10.1.0.0/24": {},
		"nonsense":    {},
	} {
		if capacity, allocated, free := ledger.CIDRUsage(cidr); [3]int64{capacity, allocated, free} != want {
			t.Errorf("%s: %d %d %d, want %v", cidr, capacity, allocated, free, want)
		}
	}
	if capacity, allocated, free := ledger.PortUsage("kubernetes"); capacity != 101 || allocated != 2 || free != 99 {
		t.Errorf("ports: %d %d %d", capacity, allocated, free)
	}
	if capacity, _, _ := ledger.PortUsage("unknown"); capacity != 0 {
		t.Errorf("%d ports of nothing", capacity)
	}
}

func TestClaimNames(t *testing.T) {
	for name, want := range map[string]allocation.Value{"10.0.0.5": address("10.0.0.5"), "fd00::5": address("fd00::5"), "30080": port(30080)} {
		if got, ok := kindOf(want.Class).parse(name); !ok || got != want || got.String() != name {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "web", "10.0.0", "99999999999"} {
		for _, k := range kinds() {
			if got, ok := k.parse(name); ok {
				t.Errorf("%q is %s", name, got)
			}
		}
	}
	if got, ok := (addresses{}).parse("30080"); ok {
		t.Errorf("a port is the address %s", got)
	}
	if got, ok := (ports{}).parse("10.0.0.5"); ok {
		t.Errorf("an address is the port %s", got)
	}
}

// Upstream's repair loops panic on an error of their allocators that they don't
// know (test/integration/defects, C28). Here every error has a text, also one that is
// wrapped.
func TestC28UnknownErrorsAreWorded(t *testing.T) {
	svc := newService(func(s *corev1.ServiceSpec) { s.ClusterIPs = []string{"10.0.0.1"} })
	for cause, want := range map[error]string{
		errors.New("odd"): "odd",
		fmt.Errorf("while picking: %w", &allocation.ExhaustedError{Class: allocation.Port}): "there is no range",
		fmt.Errorf("while picking: %w", &takenError{}):                                      "already allocated",
	} {
		for _, value := range []allocation.Value{port(30000), address("10.0.0.1")} {
			if got := FieldError(svc, value, cause); !strings.Contains(got.Error(), want) {
				t.Errorf("got %v, want %q", got, want)
			}
		}
	}
}

func TestHoldersAreNamedToThoseWhoMayReadThem(t *testing.T) {
	index := newIndex()
	index.Observe(port(30001), allocation.Claim{Revision: 1, Holder: v1.ParentReference{
		Group: v1.GroupName, Resource: "services", Namespace: "prod", Name: "web", UID: "u",
	}})
	index.Observe(port(30002), allocation.Claim{Revision: 1, Holder: v1.ParentReference{Resource: "reservations", Name: "dns"}})
	index.Observe(address("10.0.0.9"), allocation.Claim{Revision: 1})
	for _, test := range []struct {
		value allocation.Value
		needs Read
		name  string
	}{
		{port(30001), Read{Resource: "services", Namespace: "prod", Name: "web"}, "services.portolan.dev/prod/web"},
		{port(30002), Read{Resource: "nodeports", Name: "30002"}, "reservations/dns"},
		{address("10.0.0.9"), Read{Resource: "ipaddresses", Name: "10.0.0.9"}, "ipaddresses/10.0.0.9"},
	} {
		for _, may := range []bool{true, false} {
			ledger := &Ledger{Index: index, mayRead: func(_ context.Context, read Read) bool { return may && read == test.needs }}
			want := "already allocated"
			if may {
				want += " by " + test.name
			}
			if got := ledger.Check(t.Context(), anyone, test.value); !strings.HasSuffix(got.Detail, want) {
				t.Errorf("%s, may read: %t: got %v, want %q", test.value, may, got, want)
			}
		}
	}
}
