package validation_test

import (
	"math/rand"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/randfill"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

// words are the parts of generated texts. Random letters would all fail the first rule.
var words = []string{
	"", "a", "b", "a-b", "A", "a b", "a/b", "example.com", "example.com/a", ".", "-", "\x00", "\xff", "ä", "None", "None ",
	"10.0.0.1", "10.0.0.2", "010.0.0.1", "::ffff:10.0.0.1", "fd00::1", "FD00::1", "fe80::1%eth0", "127.0.0.1", "224.0.0.1",
	"10.0.0.0/8", "10.0.0.1/8", "fd00::/64", "0.0.0.0/0", "::/0", "10.0.0.1/32",
	"10.0.0.1-10.0.0.9", "10.0.0.9-10.0.0.1", "fd00::1-fd00::9", "10.0.0.1-fd00::9",
	"80", "443", "080", "65536", "-1", "80-90", "90-80", "1-65535", "80-", "TCP", "UDP", "SCTP", "tcp",
	"ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "ClientIP", "Cluster", "Local", "IPv4", "IPv6", "FQDN", "VIP", "Proxy",
	"SingleStack", "PreferDualStack", "RequireDualStack", "PreferClose", "True", "False", "Ready", "services", "uid",
}

var numbers = []int32{0, 1, 80, 443, 30000, 30001, 65535, 65536, -1, 1 << 30, -1 << 31}

// fill fills an object with words and numbers that the bytes choose.
func fill(data []byte, obj any) {
	word := func(c randfill.Continue) string { return words[c.Intn(len(words))] }
	randfill.NewFromGoFuzz(data).NilChance(0.3).NumElements(0, 3).MaxDepth(20).Funcs(
		func(text *string, c randfill.Continue) { *text = word(c) },
		func(number *int32, c randfill.Continue) { *number = numbers[c.Intn(len(numbers))] },
		func(uid *types.UID, c randfill.Continue) { *uid = []types.UID{"", "", "u"}[c.Intn(3)] },
		func(kind *corev1.ServiceType, c randfill.Continue) { *kind = corev1.ServiceType(word(c)) },
		func(family *corev1.IPFamily, c randfill.Continue) { *family = corev1.IPFamily(word(c)) },
		func(protocol *corev1.Protocol, c randfill.Continue) {
			*protocol = corev1.Protocol([]string{"TCP", "UDP", word(c)}[c.Intn(3)])
		},
		func(kind *discoveryv1.AddressType, c randfill.Continue) {
			*kind = discoveryv1.AddressType([]string{"IPv4", "IPv6", word(c)}[c.Intn(3)])
		},
		func(meta *metav1.ObjectMeta, c randfill.Continue) {
			*meta = metav1.ObjectMeta{ResourceVersion: "1", UID: "u"}
			meta.Name = []string{"a", "80", "10.0.0.1", "fd00::1", word(c)}[c.Intn(5)]
			meta.Namespace = []string{"", "default", word(c)}[c.Intn(3)]
			if c.Intn(4) == 0 {
				c.Fill(&meta.Labels)
				c.Fill(&meta.Annotations)
				c.Fill(&meta.Finalizers)
			}
		},
	).Fill(obj)
}

// checkNoOp checks that no pair of objects makes a rule panic, and that an update without
// changes of a valid object is valid.
func checkNoOp[T interface{ DeepCopy() T }](t *testing.T, data, other []byte, newObject func() T, create func(T) field.ErrorList,
	updates ...func(T, T) field.ErrorList) {
	t.Helper()
	obj, old := newObject(), newObject()
	fill(data, obj)
	fill(other, old)
	for _, update := range updates {
		update(obj.DeepCopy(), old.DeepCopy())
		update(old.DeepCopy(), obj.DeepCopy())
	}
	if len(create(obj)) > 0 {
		return
	}
	for _, update := range updates {
		if errs := update(obj.DeepCopy(), obj.DeepCopy()); len(errs) > 0 {
			t.Errorf("a created object is invalid in an update: %v\n%+v", errs, obj)
		}
	}
}

// FuzzValidation fuzzes the rules of every kind. FuzzService makes valid Services.
func FuzzValidation(f *testing.F) {
	// A few percent of random bytes make a valid object of some kind.
	random := rand.New(rand.NewSource(1))
	for range 200 {
		data, other := make([]byte, 400), make([]byte, 400)
		random.Read(data)
		random.Read(other)
		f.Add(data, other)
	}
	for _, seed := range []string{"", "a", "\x00\x01\x02\x03\x04\x05\x06\x07", "0123456789abcdef0123456789abcdef0123456789abcdef"} {
		f.Add([]byte(seed), []byte("b"+seed))
	}
	f.Fuzz(func(t *testing.T, data, other []byte) {
		checkNoOp(t, data, other, func() *v1.Service { return &v1.Service{} }, validation.ValidateServiceCreate, validation.ValidateServiceUpdate)
		for _, loopback := range [][]netip.Prefix{nil, {netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}} {
			checkNoOp(t, data, other, func() *v1.Endpoints { return &v1.Endpoints{} },
				func(e *v1.Endpoints) field.ErrorList { return validation.ValidateEndpointsCreate(e, loopback...) },
				func(e, old *v1.Endpoints) field.ErrorList {
					return validation.ValidateEndpointsUpdate(e, old, loopback...)
				})
			checkNoOp(t, data, other, func() *v1.EndpointSlice { return &v1.EndpointSlice{} },
				func(s *v1.EndpointSlice) field.ErrorList {
					return validation.ValidateEndpointSliceCreate(s, loopback...)
				},
				func(s, old *v1.EndpointSlice) field.ErrorList {
					return validation.ValidateEndpointSliceUpdate(s, old, loopback...)
				})
		}
		checkNoOp(t, data, other, func() *v1.ServiceCIDR { return &v1.ServiceCIDR{} }, validation.ValidateServiceCIDRCreate,
			validation.ValidateServiceCIDRUpdate, validation.ValidateServiceCIDRStatusUpdate)
		checkNoOp(t, data, other, func() *v1.IPAddress { return &v1.IPAddress{} },
			func(a *v1.IPAddress) field.ErrorList { return validation.ValidateIPAddressCreate(a, time.Time{}) },
			validation.ValidateIPAddressUpdate)
		checkNoOp(t, data, other, func() *v1.NodePortRange { return &v1.NodePortRange{} }, validation.ValidateNodePortRangeCreate,
			validation.ValidateNodePortRangeUpdate, validation.ValidateNodePortRangeStatusUpdate)
		checkNoOp(t, data, other, func() *v1.NodePort { return &v1.NodePort{} },
			func(p *v1.NodePort) field.ErrorList { return validation.ValidateNodePortCreate(p, time.Time{}) },
			validation.ValidateNodePortUpdate)
		checkNoOp(t, data, other, func() *v1.LoadBalancerPool { return &v1.LoadBalancerPool{} }, validation.ValidateLoadBalancerPoolCreate,
			validation.ValidateLoadBalancerPoolUpdate, validation.ValidateLoadBalancerPoolStatusUpdate)
		checkNoOp(t, data, other, func() *v1.LoadBalancerIP { return &v1.LoadBalancerIP{} },
			func(a *v1.LoadBalancerIP) field.ErrorList {
				return validation.ValidateLoadBalancerIPCreate(a, time.Time{})
			},
			validation.ValidateLoadBalancerIPUpdate)
		checkNoOp(t, data, other, func() *v1.ClaimQuota { return &v1.ClaimQuota{} }, validation.ValidateClaimQuotaCreate,
			validation.ValidateClaimQuotaUpdate)

		service, slice := &v1.Service{}, &v1.EndpointSlice{}
		fill(data, service)
		fill(other, slice)
		validation.ValidateServiceStatusUpdate(service.DeepCopy(), newService())
		validation.ServiceWarnings(service, nil)
		validation.ServiceStatusWarnings(service)
		validation.EndpointSliceCreateWarnings(slice)
	})
}
