package claims

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
)

func newIndex() *allocation.Index { return allocation.New(time.Now) }

func address(text string) allocation.Value { return allocation.Address(netip.MustParseAddr(text)) }

func port(number int32) allocation.Value { return allocation.NodePort(number) }

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

func addCIDR(index *allocation.Index, name string, revision int64, cidrs ...string) {
	setAddressRange(index, &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.ServiceCIDRSpec{CIDRs: cidrs}}, revision)
}

func addPorts(index *allocation.Index, name string, revision int64, ports ...string) {
	setPortRange(index, &v1.NodePortRange{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.NodePortRangeSpec{Ports: ports}}, revision)
}

func TestHoldings(t *testing.T) {
	tcp, udp := corev1.ProtocolTCP, corev1.ProtocolUDP
	for name, test := range map[string]struct {
		svc  *v1.Service
		want holdings
	}{
		"no Service": {nil, holdings{}},
		"both families": {newService(func(s *corev1.ServiceSpec) { s.ClusterIPs = []string{"10.0.0.5", "fd00::0:5"} }),
			holdings{address("10.0.0.5"): nil, address("fd00::5"): nil}},
		"stored before clusterIPs": {newService(func(s *corev1.ServiceSpec) { s.ClusterIP = "10.0.0.5" }),
			holdings{address("10.0.0.5"): nil}},
		"headless": {newService(func(s *corev1.ServiceSpec) { s.ClusterIP, s.ClusterIPs = "None", []string{"None"} }), holdings{}},
		"external name": {newService(func(s *corev1.ServiceSpec) {
			s.Type, s.ClusterIPs = corev1.ServiceTypeExternalName, []string{"10.0.0.5"}
		}), holdings{}},
		"node ports, one for two protocols": {newService(func(s *corev1.ServiceSpec) {
			s.Type = corev1.ServiceTypeNodePort
			s.Ports = []corev1.ServicePort{servicePort(53, 30053, udp), servicePort(53, 30053, tcp), servicePort(80, 30080, tcp), servicePort(81, 0, tcp)}
		}), holdings{port(30053): {tcp, udp}, port(30080): {tcp}}},
		"node ports of a type that has none": {newService(func(s *corev1.ServiceSpec) {
			s.Ports = []corev1.ServicePort{servicePort(80, 30080, tcp)}
		}), holdings{}},
		"health check": {newService(func(s *corev1.ServiceSpec) {
			s.Type, s.ExternalTrafficPolicy, s.HealthCheckNodePort = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal, 30100
			s.Ports = []corev1.ServicePort{servicePort(80, 30080, tcp)}
		}), holdings{port(30080): {tcp}, port(30100): nil}},
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
	for name, test := range map[string]struct {
		before, after holdings
		want          difference
	}{
		"nothing":                  {nil, nil, difference{}},
		"the same":                 {holdings{address("10.0.0.5"): nil, port(80): tcp, port(81): nil}, holdings{address("10.0.0.5"): nil, port(80): tcp, port(81): nil}, difference{}},
		"no protocols and none":    {holdings{port(80): nil}, holdings{port(80): {}}, difference{}},
		"create":                   {nil, holdings{address("10.0.0.5"): nil, port(80): tcp}, difference{take: values(address("10.0.0.5"), port(80))}},
		"delete":                   {holdings{address("10.0.0.5"): nil, port(80): tcp}, nil, difference{release: values(address("10.0.0.5"), port(80))}},
		"other address":            {holdings{address("10.0.0.5"): nil}, holdings{address("10.0.0.6"): nil}, difference{take: values(address("10.0.0.6")), release: values(address("10.0.0.5"))}},
		"second family":            {holdings{address("10.0.0.5"): nil}, holdings{address("10.0.0.5"): nil, address("fd00::5"): nil}, difference{take: values(address("fd00::5"))}},
		"protocol more":            {holdings{port(80): tcp}, holdings{port(80): both}, difference{rewrite: values(port(80))}},
		"protocol other":           {holdings{port(80): tcp}, holdings{port(80): udp}, difference{rewrite: values(port(80))}},
		"health check turned port": {holdings{port(80): nil}, holdings{port(80): tcp}, difference{rewrite: values(port(80))}},
	} {
		t.Run(name, func(t *testing.T) {
			got := differ(test.before, test.after)
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

func TestTaken(t *testing.T) {
	stored := newService(func(s *corev1.ServiceSpec) { s.ClusterIPs = []string{"10.0.0.5"} })
	svc := newService(func(s *corev1.ServiceSpec) { s.ClusterIPs = []string{"10.0.0.5", "fd00::5"} })
	if got := Taken(svc, stored); !slices.Equal(got, []allocation.Value{address("fd00::5")}) {
		t.Errorf("got %v", got)
	}
	if got := Taken(svc, nil); len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

func TestPicks(t *testing.T) {
	pick := func(t *testing.T, p *Picks, slot string) allocation.Value {
		t.Helper()
		value, err := p.Pick(slot, allocation.Port)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	setUp := func(ports ...string) (*allocation.Index, *Picks) {
		index := newIndex()
		addPorts(index, "r", 1, ports...)
		_, picks := NewContext(context.Background(), index)
		return index, picks
	}
	checkFree := func(t *testing.T, index *allocation.Index, want int) {
		t.Helper()
		free := 0
		for ; ; free++ {
			if _, err := index.Pick(allocation.Port); err != nil {
				break
			}
		}
		if free != want {
			t.Errorf("%d free, want %d", free, want)
		}
	}

	t.Run("a slot keeps its value", func(t *testing.T) {
		_, picks := setUp("1-1000")
		a, b := pick(t, picks, "a"), pick(t, picks, "b")
		if a == b {
			t.Errorf("two slots got %s", a)
		}
		if again := pick(t, picks, "a"); again != a {
			t.Errorf("got %s, then %s", a, again)
		}
		if !picks.Picked(a) || !picks.Picked(b) || picks.Picked(port(1001)) {
			t.Error("what was picked is not known")
		}
	})
	t.Run("a slot that changes class is picked anew", func(t *testing.T) {
		index, picks := setUp("1-10")
		addCIDR(index, "c", 1, "10.0.0.0/24")
		pick(t, picks, "a")
		value, err := picks.Pick("a", allocation.IPv4)
		if err != nil || value.Class != allocation.IPv4 {
			t.Errorf("got %s, %v", value, err)
		}
	})
	t.Run("full", func(t *testing.T) {
		_, picks := setUp("1")
		pick(t, picks, "a")
		var full *allocation.FullError
		if _, err := picks.Pick("b", allocation.Port); !errors.As(err, &full) {
			t.Errorf("got %v", err)
		}
		pick(t, picks, "a")
	})
	t.Run("lost", func(t *testing.T) {
		index, picks := setUp("1-2")
		lost := pick(t, picks, "a")
		index.Observe(lost, allocation.Claim{UID: "other", Revision: 5})
		picks.lose(lost)
		if picks.Picked(lost) {
			t.Error("still picked")
		}
		if other := pick(t, picks, "a"); other == lost {
			t.Error("picked again")
		}
		if claim, held := index.Lookup(lost); !held || claim.UID != "other" {
			t.Error("the winner's claim is forgotten")
		}
	})
	t.Run("replaced", func(t *testing.T) {
		index, picks := setUp("1-2")
		lost := pick(t, picks, "a")
		index.Observe(lost, allocation.Claim{UID: "other", Revision: 5})
		other, err := picks.replace(lost)
		if err != nil || other == lost || pick(t, picks, "a") != other {
			t.Errorf("got %s, %v", other, err)
		}
		if _, err := picks.replace(lost); !errors.Is(err, errNotPicked) {
			t.Errorf("got %v", err)
		}
		index.Observe(other, allocation.Claim{UID: "other", Revision: 6})
		var full *allocation.FullError
		if _, err := picks.replace(other); !errors.As(err, &full) {
			t.Errorf("got %v", err)
		}
		if picks.Picked(other) {
			t.Error("a slot without value is picked")
		}
	})
	t.Run("end gives back", func(t *testing.T) {
		index, picks := setUp("1-3")
		claimed := pick(t, picks, "a")
		pick(t, picks, "b")
		index.Observe(claimed, allocation.Claim{UID: "a", Revision: 5})
		picks.End()
		picks.End()
		checkFree(t, index, 2)
	})
	t.Run("end in doubt keeps", func(t *testing.T) {
		index, picks := setUp("1-3")
		pick(t, picks, "a")
		picks.doubt()
		picks.End()
		checkFree(t, index, 2)
	})
	t.Run("none in the context", func(t *testing.T) {
		picks := FromContext(context.Background())
		if picks != nil || picks.Picked(port(1)) {
			t.Error("picks from nowhere")
		}
		picks.doubt()
		picks.write()()
	})
	t.Run("of a request", func(t *testing.T) {
		index, _ := setUp("1-3")
		handler := WithPicks(&Ledger{Index: index}, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			pick(t, FromContext(req.Context()), "a")
			panic("given back all the same")
		}))
		func() {
			defer func() { _ = recover() }()
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
		}()
		checkFree(t, index, 3)
	})
	// The framework answers a request that takes too long and leaves its write
	// to go on: nobody knows then whether it is committed.
	t.Run("end while a write is underway", func(t *testing.T) {
		index, picks := setUp("1-3")
		pick(t, picks, "a")
		done := picks.write()
		picks.End()
		done()
		checkFree(t, index, 2)
	})
	t.Run("end after a write", func(t *testing.T) {
		index, picks := setUp("1-3")
		pick(t, picks, "a")
		picks.write()()
		picks.End()
		checkFree(t, index, 3)
	})
	// What that write picks after the end would never be given back.
	t.Run("after the end", func(t *testing.T) {
		index, picks := setUp("1-3")
		picks.End()
		if value, err := picks.Pick("a", allocation.Port); err == nil {
			t.Errorf("picked %s", value)
		}
		checkFree(t, index, 3)
	})
}

// The texts are upstream's.
func TestFieldErrors(t *testing.T) {
	svc := newService(func(s *corev1.ServiceSpec) {
		s.Type = corev1.ServiceTypeLoadBalancer
		s.ClusterIPs = []string{"10.96.0.5", "fd00::5"}
		s.HealthCheckNodePort = 30090
		s.Ports = []corev1.ServicePort{servicePort(80, 30080, "TCP"), servicePort(81, 40000, "TCP")}
	})
	index := newIndex()
	addCIDR(index, "kubernetes", 1, "10.96.0.0/24", "fd00:10:96::/112")
	addPorts(index, "kubernetes", 1, "30000-30099")
	ledger := &Ledger{Index: index}
	for _, taken := range []allocation.Value{address("10.96.0.5"), port(30080), port(30090)} {
		index.Observe(taken, allocation.Claim{UID: "other", Revision: 5})
	}
	const list = `["10.96.0.5","fd00::5"]`
	for _, test := range []struct {
		value allocation.Value
		want  string
	}{
		{address("10.96.0.5"), `spec.clusterIPs: Invalid value: ` + list + `: failed to allocate IP 10.96.0.5: provided IP is already allocated`},
		{address("10.97.0.5"), `spec.clusterIPs: Invalid value: ` + list + `: failed to allocate IP 10.97.0.5: the provided network does not match the current range`},
		{address("10.96.0.0"), `spec.clusterIPs: Invalid value: ` + list + `: failed to allocate IP 10.96.0.0: the provided network does not match the current range`},
		{address("10.96.0.255"), `spec.clusterIPs: Invalid value: ` + list + `: failed to allocate IP 10.96.0.255: the provided network does not match the current range`},
		{address("fd00:10:96::"), `spec.clusterIPs: Invalid value: ` + list + `: failed to allocate IP fd00:10:96::: the provided network does not match the current range`},
		{port(30080), `spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated`},
		{port(40000), `spec.ports[1].nodePort: Invalid value: 40000: provided port is not in the valid range. The range of valid ports is 30000-30099`},
		{port(30090), `spec.healthCheckNodePort: Invalid value: 30090: provided port is already allocated`},
	} {
		err := ledger.check(t.Context(), svc, test.value)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s:\ngot  %v\nwant %s", test.value, err, test.want)
		}
	}
	for _, fine := range []allocation.Value{address("fd00:10:96::ffff"), address("10.96.0.254"), port(30000), port(30099)} {
		if err := ledger.check(t.Context(), svc, fine); err != nil {
			t.Errorf("%s: %v", fine, err)
		}
	}
	// Its own value is no matter, wherever it lies.
	index.Observe(port(40000), allocation.Claim{UID: "web-uid", Revision: 6})
	if err := ledger.check(t.Context(), svc, port(40000)); err != nil {
		t.Error(err)
	}
	index.Observe(port(40001), allocation.Claim{Revision: 6})
	if err := ledger.check(t.Context(), &v1.Service{}, port(40001)); err == nil {
		t.Error("a reservation is free for a Service without UID")
	}

	if err := ledger.CheckRange(svc, port(30080)); err != nil {
		t.Error(err)
	}
	addPorts(index, "more", 2, "443", "8000-8099")
	const want = "spec.ports[1].nodePort: Invalid value: 40000: provided port is not in the valid range. The range of valid ports is 30000-30099,443,8000-8099"
	if err := ledger.CheckRange(svc, port(40000)); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestFullTexts(t *testing.T) {
	index := newIndex()
	addCIDR(index, "kubernetes", 1, "10.0.0.0/30")
	addPorts(index, "kubernetes", 1, "30000")
	for _, text := range []string{"10.0.0.1", "10.0.0.2"} {
		index.Observe(address(text), allocation.Claim{UID: "a", Revision: 2})
	}
	index.Observe(port(30000), allocation.Claim{UID: "a", Revision: 2})
	_, err := index.Pick(allocation.IPv4)
	svc := newService(nil)
	if got, want := FieldError(svc, allocation.Value{Class: allocation.IPv4}, err).Detail, "failed to allocate a serviceIP: range is full: kubernetes (10.0.0.0/30) holds 2 of 2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = index.Pick(allocation.Port)
	if got, want := PortText(err), "failed to allocate a nodePort: range is full: kubernetes (30000) holds 1 of 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := PortText(errNotPicked); got != errNotPicked.Error() {
		t.Errorf("got %q", got)
	}
}

func TestSubstitute(t *testing.T) {
	svc := newService(func(s *corev1.ServiceSpec) {
		s.ClusterIP, s.ClusterIPs = "10.0.0.5", []string{"10.0.0.5", "fd00:0::5"}
		s.HealthCheckNodePort = 30090
		s.Ports = []corev1.ServicePort{servicePort(53, 30053, "UDP"), servicePort(53, 30053, "TCP"), servicePort(80, 30080, "TCP")}
	})
	substitute(svc, address("10.0.0.5"), address("10.0.0.6"))
	substitute(svc, address("fd00::5"), address("fd00::6"))
	substitute(svc, port(30053), port(30054))
	substitute(svc, port(30090), port(30091))
	spec := svc.Spec
	if spec.ClusterIP != "10.0.0.6" || !slices.Equal(spec.ClusterIPs, []string{"10.0.0.6", "fd00::6"}) {
		t.Errorf("got %s %v", spec.ClusterIP, spec.ClusterIPs)
	}
	if spec.Ports[0].NodePort != 30054 || spec.Ports[1].NodePort != 30054 || spec.Ports[2].NodePort != 30080 || spec.HealthCheckNodePort != 30091 {
		t.Errorf("got %v %d", spec.Ports, spec.HealthCheckNodePort)
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
		"none":                         {nil, nil},
		"one family":                   {[]cidr{{"kubernetes", []string{"10.0.0.0/24"}}}, []corev1.IPFamily{v4}},
		"both, IPv4 first":             {[]cidr{{"kubernetes", []string{"10.0.0.0/24", "fd00::/64"}}}, []corev1.IPFamily{v4, v6}},
		"both, IPv6 first":             {[]cidr{{"kubernetes", []string{"fd00::/64", "10.0.0.0/24"}}}, []corev1.IPFamily{v6, v4}},
		"the default rules":            {[]cidr{{"a", []string{"10.0.0.0/24"}}, {"kubernetes", []string{"fd00::/64"}}}, []corev1.IPFamily{v6, v4}},
		"without default, by name":     {[]cidr{{"b", []string{"10.0.0.0/24"}}, {"a", []string{"fd00::/64"}}}, []corev1.IPFamily{v6, v4}},
		"without default, both in one": {[]cidr{{"b", []string{"10.0.0.0/24"}}, {"a", []string{"fd00::/64", "10.1.0.0/24"}}}, []corev1.IPFamily{v6, v4}},
		"nonsense offers nothing":      {[]cidr{{"kubernetes", []string{"10.0.0.0"}}, {"b", []string{"fd00::/64"}}}, []corev1.IPFamily{v6}},
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
		setAddressRange(index, &v1.ServiceCIDR{
			ObjectMeta: metav1.ObjectMeta{Name: "kubernetes", DeletionTimestamp: ptr.To(metav1.Now())}, Spec: v1.ServiceCIDRSpec{CIDRs: []string{"10.0.0.0/24"}},
		}, 1)
		setAddressRange(index, &v1.ServiceCIDR{
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
		if got, ok := valueOf(name); !ok || got != want || got.String() != name {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "web", "10.0.0", "99999999999"} {
		if got, ok := valueOf(name); ok {
			t.Errorf("%q is %s", name, got)
		}
	}
}

// Upstream's repair loops panic on an error of their allocators that they don't
// know (test/defects, C28). Here every error has a text, also one that is
// wrapped.
func TestC28UnknownErrorsAreWorded(t *testing.T) {
	svc := newService(func(s *corev1.ServiceSpec) { s.ClusterIPs = []string{"10.0.0.1"} })
	for cause, want := range map[error]string{
		errors.New("odd"): "odd",
		fmt.Errorf("while picking: %w", &allocation.FullError{Class: allocation.Port}): "there is no range",
		fmt.Errorf("while picking: %w", &takenError{}):                                 "already allocated",
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
	index.Observe(port(30001), allocation.Claim{UID: "u", Holder: "services.portolan.dev/prod/web", Revision: 1})
	index.Observe(port(30002), allocation.Claim{Holder: "reservations/dns", Revision: 1})
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
			if got := ledger.check(t.Context(), newService(nil), test.value); !strings.HasSuffix(got.Detail, want) {
				t.Errorf("%s, may read: %t: got %v, want %q", test.value, may, got, want)
			}
		}
	}
}
