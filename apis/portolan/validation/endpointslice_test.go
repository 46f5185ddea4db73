package validation_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

type sliceTweak func(*v1.EndpointSlice)

func newSlice(tweaks ...sliceTweak) *v1.EndpointSlice {
	slice := &v1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "s.1", ResourceVersion: "1"},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}},
	}
	for _, t := range tweaks {
		t(slice)
	}
	v1.SetDefaults_EndpointSlice(slice)
	return slice
}

func of(addressType discoveryv1.AddressType, addresses ...string) sliceTweak {
	return func(s *v1.EndpointSlice) {
		s.AddressType, s.Endpoints[0].Addresses = addressType, addresses
	}
}

func onEndpoint(f func(*discoveryv1.Endpoint)) sliceTweak {
	return func(s *v1.EndpointSlice) { f(&s.Endpoints[0]) }
}

func slicePorts(ports ...discoveryv1.EndpointPort) sliceTweak {
	return func(s *v1.EndpointSlice) { s.Ports = ports }
}

func hints(hints discoveryv1.EndpointHints) sliceTweak {
	return onEndpoint(func(e *discoveryv1.Endpoint) { e.Hints = &hints })
}

func many(field string, limit int) cause {
	return cause{"TooMany", field, fmt.Sprintf("must have at most %d items", limit)}
}

// TestEndpointSliceOnLoopback accepts loopback addresses in the given networks only.
func TestEndpointSliceOnLoopback(t *testing.T) {
	listed := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}
	const loopback = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
	four := newSlice(of(discoveryv1.AddressTypeIPv4, "127.0.0.1", "127.0.0.2"))
	six := newSlice(of(discoveryv1.AddressTypeIPv6, "::1", "127.0.0.1", "fe80::1"))
	refused := causes(iv("endpoints[0].addresses", "must be an IPv6 address"),
		iv("endpoints[0].addresses[2]", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"))
	expect(t, validation.ValidateEndpointSliceCreate(four, listed...), iv("endpoints[0].addresses[1]", loopback))
	expect(t, validation.ValidateEndpointSliceCreate(six, listed...), refused...)
	expect(t, validation.ValidateEndpointSliceUpdate(four, newSlice(), listed...), iv("endpoints[0].addresses[1]", loopback))
}

// sliceCase is a change of a slice and the errors that it causes.
type sliceCase struct {
	tweak sliceTweak
	want  []cause
}

func expectSlices(t *testing.T, cases map[string]sliceCase) {
	t.Helper()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			expect(t, validation.ValidateEndpointSliceCreate(newSlice(tc.tweak)), tc.want...)
		})
	}
}

// numbered makes names or addresses that contain a number.
func numbered(format string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf(format, i))
	}
	return names
}

func TestEndpointSliceAddresses(t *testing.T) {
	const (
		ipv4, ipv6, fqdn = discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN
		address          = "endpoints[0].addresses[0]"
		loopback         = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
	)
	expectSlices(t, map[string]sliceCase{
		"no address type":       {of("", "anything"), causes(rq("addressType"))},
		"unknown address type":  {of("IP", "anything"), causes(ns("addressType", `"FQDN", "IPv4", "IPv6"`))},
		"no address":            {of(ipv4), causes(cause{"Required", "endpoints[0].addresses", "must contain at least 1 address"})},
		"100 addresses":         {of(ipv4, numbered("192.0.2.%d", 100)...), nil},
		"101 addresses":         {of(ipv4, numbered("192.0.2.%d", 101)...), causes(many("endpoints[0].addresses", 100))},
		"IPv6 in IPv4":          {of(ipv4, "2001:db8::1"), causes(iv("endpoints[0].addresses", "must be an IPv4 address"))},
		"IPv4 in IPv6":          {of(ipv6, "192.0.2.1"), causes(iv("endpoints[0].addresses", "must be an IPv6 address"))},
		"not canonical in IPv6": {of(ipv6, "2001:DB8::1"), causes(iv(address, `must be in canonical form ("2001:db8::1")`))},
		"not canonical in IPv4": {of(ipv4, "2001:DB8::1"), causes(iv("endpoints[0].addresses", "must be an IPv4 address"))},
		"leading zeros":         {of(ipv4, "192.0.02.1"), causes(iv(address, "must not have leading 0s"))},
		"mapped":                {of(ipv6, "::ffff:192.0.2.1"), causes(iv(address, "must not be an IPv4-mapped IPv6 address"))},
		"no IP":                 {of(ipv4, "192.0.2.1", "foo"), causes(iv("endpoints[0].addresses[1]", badIP))},
		"unspecified":           {of(ipv4, "0.0.0.0"), causes(iv(address, "may not be unspecified (0.0.0.0)"))},
		"loopback":              {of(ipv6, "::1"), causes(iv(address, loopback))},
		"loopback of other family": {
			of(ipv6, "127.0.0.1"), causes(iv("endpoints[0].addresses", "must be an IPv6 address"), iv(address, loopback)),
		},
		"link-local": {
			of(ipv4, "169.254.0.1"), causes(iv(address, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")),
		},
		"link-local multicast": {
			of(ipv4, "224.0.0.1"), causes(iv(address, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")),
		},
		"other multicast": {of(ipv4, "239.1.1.1"), nil},
		"domain":          {of(fqdn, "a.example.com", "b.example.com."), nil},
		"domain of one segment": {
			of(fqdn, "localhost"), causes(iv(address, "should be a domain with at least two segments separated by dots")),
		},
		"no domain":                {of(fqdn, ""), causes(rq(address))},
		"label of domain too long": {of(fqdn, strings.Repeat("a", 64)+".b"), causes(iv(address, "must be no more than 63 characters"))},
	})
}

func TestEndpointSlice(t *testing.T) {
	type port = discoveryv1.EndpointPort
	zones := func(names ...string) (hints discoveryv1.EndpointHints) {
		for _, name := range names {
			hints.ForZones = append(hints.ForZones, discoveryv1.ForZone{Name: name})
		}
		return hints
	}
	nodes := func(names ...string) (hints discoveryv1.EndpointHints) {
		for _, name := range names {
			hints.ForNodes = append(hints.ForNodes, discoveryv1.ForNode{Name: name})
		}
		return hints
	}
	topology := map[string]string{corev1.LabelTopologyZone: "z"}
	for i := range 16 {
		topology[fmt.Sprint("k", i)] = "v"
	}
	expectSlices(t, map[string]sliceCase{
		"valid":    {func(*v1.EndpointSlice) {}, nil},
		"empty":    {func(s *v1.EndpointSlice) { s.Endpoints = nil }, nil},
		"bad name": {func(s *v1.EndpointSlice) { s.Name = "A" }, causes(iv("metadata.name", subdomain))},
		"hostname": {
			onEndpoint(func(e *discoveryv1.Endpoint) { e.Hostname = ptr.To("A") }), causes(iv("endpoints[0].hostname", label1123)),
		},
		"nodeName": {
			onEndpoint(func(e *discoveryv1.Endpoint) { e.NodeName = ptr.To("A") }), causes(iv("endpoints[0].nodeName", subdomain)),
		},
		"topology": {onEndpoint(func(e *discoveryv1.Endpoint) { e.DeprecatedTopology = topology }),
			causes(many("endpoints[0].deprecatedTopology", 16),
				cause{"Internal", "endpoints[0].deprecatedTopology[topology.kubernetes.io/zone]", "reserved key was not removed in conversion"})},
		"port without number": {slicePorts(port{}), nil},
		"port 0":              {slicePorts(port{Port: ptr.To[int32](0)}), causes(iv("ports[0].port", badPort))},
		"ports 65535 and 65536": {
			slicePorts(port{Name: ptr.To("a"), Port: ptr.To[int32](65535)}, port{Port: ptr.To[int32](65536)}), causes(iv("ports[1].port", badPort)),
		},
		"same name":    {slicePorts(port{Name: ptr.To("a")}, port{Name: ptr.To("a")}), causes(dp("ports[1].name"))},
		"both unnamed": {slicePorts(port{}, port{Name: ptr.To("")}), causes(dp("ports[1].name"))},
		"port name":    {slicePorts(port{Name: ptr.To("A")}), causes(iv("ports[0].name", label1123))},
		"protocol": {
			slicePorts(port{Protocol: ptr.To[corev1.Protocol]("Foo")}), causes(ns("ports[0].protocol", `"SCTP", "TCP", "UDP"`)),
		},
		"empty protocol": {
			slicePorts(port{Protocol: ptr.To[corev1.Protocol]("")}), causes(ns("ports[0].protocol", `"SCTP", "TCP", "UDP"`)),
		},
		"appProtocol": {slicePorts(port{AppProtocol: ptr.To("a b")}), causes(iv("ports[0].appProtocol", qname))},
		"20001 ports": {slicePorts(make([]port, 20001)...), causes(many("ports", 20000))},
		"1001 endpoints": {
			func(s *v1.EndpointSlice) { s.Endpoints = make([]discoveryv1.Endpoint, 1001) }, causes(many("endpoints", 1000)),
		},
		"8 zones": {hints(zones(numbered("z%d", 8)...)), nil},
		"9 zones, whatever follows": {hints(discoveryv1.EndpointHints{ForZones: zones(numbered("z%d", 9)...).ForZones,
			ForNodes: nodes("A").ForNodes}), causes(many("endpoints[0].hints.forZones", 8))},
		"same zone": {hints(zones("a", "a")), causes(dp("endpoints[0].hints.forZones[1].name"))},
		"zone":      {hints(zones("a/b")), causes(iv("endpoints[0].hints.forZones[0].name", badValue))},
		"9 nodes":   {hints(nodes(numbered("n%d", 9)...)), causes(many("endpoints[0].hints.forNodes", 8))},
		"same node": {hints(nodes("a", "a")), causes(dp("endpoints[0].hints.forNodes[1].name"))},
		"node":      {hints(nodes("A")), causes(iv("endpoints[0].hints.forNodes[0].name", subdomain))},
	})
}

func TestEndpointSliceUpdate(t *testing.T) {
	type port = discoveryv1.EndpointPort
	badAddress := of(discoveryv1.AddressTypeIPv4, "192.0.02.1")
	badNumber := slicePorts(port{Port: ptr.To[int32](70000)})
	annotated := func(s *v1.EndpointSlice) { s.Annotations = map[string]string{"a": "b"} }
	node := func(name string) sliceTweak {
		return onEndpoint(func(e *discoveryv1.Endpoint) { e.NodeName = &name })
	}
	for name, tc := range map[string]struct {
		old, now *v1.EndpointSlice
		want     []cause
	}{
		"stored address": {newSlice(badAddress), newSlice(badAddress, annotated), nil},
		"changed endpoints": {
			newSlice(badAddress), newSlice(badAddress, node("n")), causes(iv("endpoints[0].addresses[0]", "must not have leading 0s")),
		},
		"stored port number": {newSlice(badNumber), newSlice(badNumber, node("n")), nil},
		"changed ports": {
			newSlice(badNumber), newSlice(slicePorts(port{Name: ptr.To("a"), Port: ptr.To[int32](70000)})), causes(iv("ports[0].port", badPort)),
		},
		"stored port name": {
			newSlice(slicePorts(port{Name: ptr.To("A")})), newSlice(slicePorts(port{Name: ptr.To("A")})), causes(iv("ports[0].name", label1123)),
		},
		"changed address type": {
			newSlice(), newSlice(of(discoveryv1.AddressTypeIPv6, "2001:db8::1")), causes(iv("addressType", "field is immutable")),
		},
		"nodeName may change":    {newSlice(node("a")), newSlice(node("b")), nil},
		"port number may change": {newSlice(slicePorts(port{Port: ptr.To[int32](80)})), newSlice(slicePorts(port{Port: ptr.To[int32](81)})), nil},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, validation.ValidateEndpointSliceUpdate(tc.now, tc.old), tc.want...)
		})
	}
}

func TestEndpointSliceWarnings(t *testing.T) {
	spelling := []string{`endpoints[0].addresses[1]: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format ("2001:db8::1")`}
	odd := of(discoveryv1.AddressTypeIPv6, "2001:db8::1", "2001:DB8::1")
	managedBy := func(name string) sliceTweak {
		return func(s *v1.EndpointSlice) { s.Labels = map[string]string{discoveryv1.LabelManagedBy: name} }
	}
	deprecated := []string{"spec.addressType: FQDN endpoints are deprecated"}
	for name, tc := range map[string]struct {
		slice              *v1.EndpointSlice
		onCreate, onUpdate []string
	}{
		"odd":                       {newSlice(odd), spelling, spelling},
		"odd, of someone else":      {newSlice(odd, managedBy("me")), spelling, spelling},
		"odd, of the controller":    {newSlice(odd, managedBy("endpointslice-controller.k8s.io")), nil, nil},
		"odd, of the mirroring one": {newSlice(odd, managedBy("endpointslicemirroring-controller.k8s.io")), nil, nil},
		"domain":                    {newSlice(of(discoveryv1.AddressTypeFQDN, "a.example.com")), deprecated, nil},
		"domain, of the controllers": {
			newSlice(of(discoveryv1.AddressTypeFQDN, "a.b"), managedBy("endpointslice-controller.k8s.io")), deprecated, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := validation.EndpointSliceCreateWarnings(tc.slice); !slices.Equal(got, tc.onCreate) {
				t.Errorf("on create\n got %q\nwant %q", got, tc.onCreate)
			}
			if got := validation.EndpointSliceWarnings(tc.slice); !slices.Equal(got, tc.onUpdate) {
				t.Errorf("on update\n got %q\nwant %q", got, tc.onUpdate)
			}
		})
	}
}
