package validation_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

func newEndpoints(name string, subsets ...corev1.EndpointSubset) *v1.Endpoints {
	endpoints := &v1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, ResourceVersion: "1"},
		Subsets:    subsets,
	}
	v1.SetDefaults_Endpoints(endpoints)
	return endpoints
}

func ready(addresses ...corev1.EndpointAddress) corev1.EndpointSubset {
	return corev1.EndpointSubset{Addresses: addresses}
}

func withPorts(ports ...corev1.EndpointPort) corev1.EndpointSubset {
	return corev1.EndpointSubset{Addresses: []corev1.EndpointAddress{{IP: "192.0.2.1"}}, Ports: ports}
}

func TestEndpoints(t *testing.T) {
	type address = corev1.EndpointAddress
	const ip = "subsets[0].addresses[0].ip"
	const loopback = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
	for name, tc := range map[string]struct {
		in   *v1.Endpoints
		want []cause
	}{
		"dots in name":   {newEndpoints("a.b"), nil},
		"bad name":       {newEndpoints("A"), causes(iv("metadata.name", subdomain))},
		"no subsets":     {newEndpoints("a"), nil},
		"no ports":       {newEndpoints("a", ready(address{IP: "192.0.2.1"})), nil},
		"not ready only": {newEndpoints("a", corev1.EndpointSubset{NotReadyAddresses: []address{{IP: "192.0.2.1"}}}), nil},
		"no addresses": {
			newEndpoints("a", ready()), causes(cause{"Required", "subsets[0]", "must specify `addresses` or `notReadyAddresses`"}),
		},
		"no IP":         {newEndpoints("a", ready(address{IP: "foo"})), causes(iv(ip, badIP), iv(ip, "must be a valid IP address"))},
		"leading zeros": {newEndpoints("a", ready(address{IP: "192.0.02.1"})), causes(iv(ip, "must not have leading 0s"))},
		"mapped":        {newEndpoints("a", ready(address{IP: "::ffff:192.0.2.1"})), causes(iv(ip, "must not be an IPv4-mapped IPv6 address"))},
		"unspecified":   {newEndpoints("a", ready(address{IP: "0.0.0.0"})), causes(iv(ip, "may not be unspecified (0.0.0.0)"))},
		"loopback":      {newEndpoints("a", ready(address{IP: "127.0.0.1"})), causes(iv(ip, loopback))},
		"not ready": {newEndpoints("a", corev1.EndpointSubset{NotReadyAddresses: []address{{IP: "::1"}}}),
			causes(iv("subsets[0].notReadyAddresses[0].ip", loopback))},
		"other multicast": {newEndpoints("a", ready(address{IP: "239.1.1.1"})), nil},
		"hostname": {
			newEndpoints("a", ready(address{IP: "192.0.2.1", Hostname: "A"})), causes(iv("subsets[0].addresses[0].hostname", label1123)),
		},
		"nodeName": {
			newEndpoints("a", ready(address{IP: "192.0.2.1", NodeName: ptr.To("A")})), causes(iv("subsets[0].addresses[0].nodeName", subdomain)),
		},
		"port": {newEndpoints("a", withPorts(corev1.EndpointPort{Port: 0}, corev1.EndpointPort{Name: "b", Port: 65536})),
			causes(rq("subsets[0].ports[0].name"), iv("subsets[0].ports[0].port", badPort), iv("subsets[0].ports[1].port", badPort))},
		"protocol": {newEndpoints("a", withPorts(corev1.EndpointPort{Port: 1, Protocol: "Foo"})),
			causes(ns("subsets[0].ports[0].protocol", `"SCTP", "TCP", "UDP"`))},
		"name": {
			newEndpoints("a", withPorts(corev1.EndpointPort{Name: "A", Port: 1})), causes(iv("subsets[0].ports[0].name", label1123)),
		},
		"appProtocol": {newEndpoints("a", withPorts(corev1.EndpointPort{Port: 1, AppProtocol: ptr.To("a b")})),
			causes(iv("subsets[0].ports[0].appProtocol", qname))},
		"same name": {newEndpoints("a", withPorts(corev1.EndpointPort{Name: "a", Port: 1}, corev1.EndpointPort{Name: "a", Port: 2})), nil},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, validation.ValidateEndpointsCreate(tc.in), tc.want...)
		})
	}
}

func TestEndpointsUpdate(t *testing.T) {
	invalid := func() *v1.Endpoints {
		return newEndpoints("a", ready(corev1.EndpointAddress{IP: "192.0.02.1"}))
	}
	t.Run("stored", func(t *testing.T) {
		expect(t, validation.ValidateEndpointsUpdate(invalid(), invalid()))
	})
	t.Run("changed", func(t *testing.T) {
		changed := invalid()
		changed.Subsets[0].Addresses[0].Hostname = "h"
		expect(t, validation.ValidateEndpointsUpdate(changed, invalid()), iv("subsets[0].addresses[0].ip", "must not have leading 0s"))
	})
	t.Run("nodeName may change", func(t *testing.T) {
		on := func(node string) *v1.Endpoints {
			return newEndpoints("a", ready(corev1.EndpointAddress{IP: "192.0.2.1", NodeName: &node}))
		}
		expect(t, validation.ValidateEndpointsUpdate(on("n2"), on("n1")))
	})
}

// TestEndpointsOnLoopback accepts loopback addresses in the given networks only.
func TestEndpointsOnLoopback(t *testing.T) {
	listed := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/31"), netip.MustParsePrefix("::1/128")}
	const path = "subsets[0].addresses[%d].ip"
	endpoints := newEndpoints("a", ready([]corev1.EndpointAddress{
		{IP: "127.0.0.1"}, {IP: "127.0.0.2"}, {IP: "::1"}, {IP: "169.254.0.1"}, {IP: "::ffff:127.0.0.1"}, {IP: "127.0.0.01"},
	}...))
	refused := causes(
		iv(fmt.Sprintf(path, 1), "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
		iv(fmt.Sprintf(path, 3), "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
		iv(fmt.Sprintf(path, 4), "must not be an IPv4-mapped IPv6 address"), iv(fmt.Sprintf(path, 5), "must not have leading 0s"),
	)
	expect(t, validation.ValidateEndpointsCreate(endpoints, listed...), refused...)
	expect(t, validation.ValidateEndpointsUpdate(endpoints, newEndpoints("a"), listed...), refused...)
}

func TestEndpointsOfAnySize(t *testing.T) {
	var subset corev1.EndpointSubset
	for i := range 1500 {
		subset.Addresses = append(subset.Addresses, corev1.EndpointAddress{IP: fmt.Sprintf("192.0.%d.%d", i/250, i%250)})
	}
	expect(t, validation.ValidateEndpointsCreate(newEndpoints("large", subset)))
}

func TestEndpointsWarnings(t *testing.T) {
	endpoints := newEndpoints("a", corev1.EndpointSubset{
		Addresses:         []corev1.EndpointAddress{{IP: "2001:DB8::1"}, {IP: "192.0.2.1"}},
		NotReadyAddresses: []corev1.EndpointAddress{{IP: "2001:DB8::2"}},
	})
	want := []string{
		`subsets[0].addresses[0].ip: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format ("2001:db8::1")`,
		`subsets[0].notReadyAddresses[0].ip: IPv6 address "2001:DB8::2" should be in RFC 5952 canonical format ("2001:db8::2")`,
	}
	if got := validation.EndpointsWarnings(endpoints); !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	endpoints.Labels = map[string]string{"endpoints.kubernetes.io/managed-by": "endpoint-controller"}
	if got := validation.EndpointsWarnings(endpoints); got != nil {
		t.Errorf("managed by the controller: got %q", got)
	}
}
