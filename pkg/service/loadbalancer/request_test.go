package loadbalancer_test

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/service/loadbalancer"
)

const annotations = "metadata.annotations"

func service(loadBalancerIP string, annotations map[string]string) *v1.Service {
	s := &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Annotations: annotations}}
	s.Spec.LoadBalancerIP = loadBalancerIP
	return s
}

func check(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestAddresses(t *testing.T) {
	for name, test := range map[string]struct {
		field       string
		annotations map[string]string
		want, errs  []string
	}{
		"nothing":        {},
		"field":          {field: "192.0.2.1", want: []string{"192.0.2.1 spec.loadBalancerIP"}},
		"field, sloppy":  {field: "192.000.2.01", want: []string{"192.0.2.1 spec.loadBalancerIP"}},
		"field, garbage": {field: "any", errs: []string{`spec.loadBalancerIP: Invalid value: "any": must be a valid IP address`}},
		"ours, dual": {annotations: map[string]string{"portolan.dev/load-balancer-ips": "2001:DB8::1, 192.0.2.1"}, want: []string{
			"2001:db8::1 metadata.annotations[portolan.dev/load-balancer-ips]", "192.0.2.1 metadata.annotations[portolan.dev/load-balancer-ips]"}},
		"MetalLB": {annotations: map[string]string{"metallb.io/loadBalancerIPs": "192.0.2.1"},
			want: []string{"192.0.2.1 metadata.annotations[metallb.io/loadBalancerIPs]"}},
		"older MetalLB": {annotations: map[string]string{"metallb.universe.tf/loadBalancerIPs": "192.0.2.1"},
			want: []string{"192.0.2.1 metadata.annotations[metallb.universe.tf/loadBalancerIPs]"}},
		"Cilium": {annotations: map[string]string{"lbipam.cilium.io/ips": "192.0.2.1"},
			want: []string{"192.0.2.1 metadata.annotations[lbipam.cilium.io/ips]"}},
		"older Cilium": {annotations: map[string]string{"io.cilium/lb-ipam-ips": "192.0.2.1"},
			want: []string{"192.0.2.1 metadata.annotations[io.cilium/lb-ipam-ips]"}},
		"the same thrice": {field: "192.0.2.1", annotations: map[string]string{"lbipam.cilium.io/ips": "::ffff:192.0.2.1",
			"metallb.io/loadBalancerIPs": " 192.0.2.1,"},
			want: []string{"192.0.2.1 spec.loadBalancerIP"}},
		"another order": {annotations: map[string]string{"portolan.dev/load-balancer-ips": "192.0.2.1,2001:db8::1",
			"lbipam.cilium.io/ips": "2001:db8::1,192.0.2.1"},
			want: []string{"192.0.2.1 metadata.annotations[portolan.dev/load-balancer-ips]",
				"2001:db8::1 metadata.annotations[portolan.dev/load-balancer-ips]"}},
		"contradiction": {field: "192.0.2.1", annotations: map[string]string{"metallb.io/loadBalancerIPs": "192.0.2.2"},
			want: []string{"192.0.2.1 spec.loadBalancerIP"},
			errs: []string{`metadata.annotations[metallb.io/loadBalancerIPs]: Invalid value: "192.0.2.2": must name the same addresses as spec.loadBalancerIP`}},
		"fewer": {annotations: map[string]string{"portolan.dev/load-balancer-ips": "192.0.2.1,2001:db8::1", "lbipam.cilium.io/ips": "192.0.2.1"},
			want: []string{"192.0.2.1 metadata.annotations[portolan.dev/load-balancer-ips]",
				"2001:db8::1 metadata.annotations[portolan.dev/load-balancer-ips]"},
			errs: []string{`metadata.annotations[lbipam.cilium.io/ips]: Invalid value: "192.0.2.1": must name the same addresses as metadata.annotations[portolan.dev/load-balancer-ips]`}},
		"malformed": {annotations: map[string]string{"portolan.dev/load-balancer-ips": "192.0.2.1,web",
			"lbipam.cilium.io/ips": "fe80::1%eth0"}, errs: []string{
			`metadata.annotations[portolan.dev/load-balancer-ips]: Invalid value: "192.0.2.1,web": must be IP addresses, separated by commas; "web" is not one`,
			`metadata.annotations[lbipam.cilium.io/ips]: Invalid value: "fe80::1%eth0": must be IP addresses, separated by commas; "fe80::1%eth0" is not one`}},
		"two of a family": {annotations: map[string]string{"lbipam.cilium.io/ips": "192.0.2.1,192.0.2.2"}, errs: []string{
			`metadata.annotations[lbipam.cilium.io/ips]: Invalid value: "192.0.2.1,192.0.2.2": may name at most one address of each IP family`}},
		"empty": {annotations: map[string]string{"portolan.dev/load-balancer-ips": " , "}},
	} {
		t.Run(name, func(t *testing.T) {
			request, errs := loadbalancer.Parse(service(test.field, test.annotations))
			var got, messages []string
			for _, address := range request.Addresses {
				got = append(got, fmt.Sprint(address.IP, " ", address.Path))
			}
			for _, err := range errs {
				messages = append(messages, err.Error())
			}
			check(t, "addresses", got, test.want)
			check(t, "errors", messages, test.errs)
		})
	}
}

func TestPoolAndKey(t *testing.T) {
	for name, test := range map[string]struct {
		annotations       map[string]string
		pool, key         string
		poolPath, keyPath string
		errs              []string
		sharesWith        []string
	}{
		"nothing": {poolPath: "<nil>", keyPath: "<nil>"},
		"ours": {annotations: map[string]string{"portolan.dev/load-balancer-pool": "public", "portolan.dev/load-balancer-sharing-key": "k"},
			pool: "public", key: "k", poolPath: annotations + "[portolan.dev/load-balancer-pool]",
			keyPath: annotations + "[portolan.dev/load-balancer-sharing-key]"},
		"MetalLB": {annotations: map[string]string{"metallb.io/address-pool": "public", "metallb.io/allow-shared-ip": "k"},
			pool: "public", key: "k", poolPath: annotations + "[metallb.io/address-pool]", keyPath: annotations + "[metallb.io/allow-shared-ip]"},
		"older MetalLB": {annotations: map[string]string{"metallb.universe.tf/address-pool": "public",
			"metallb.universe.tf/allow-shared-ip": "k"},
			pool: "public", key: "k", poolPath: annotations + "[metallb.universe.tf/address-pool]",
			keyPath: annotations + "[metallb.universe.tf/allow-shared-ip]"},
		"Cilium": {annotations: map[string]string{"lbipam.cilium.io/sharing-key": "k"},
			key: "k", poolPath: "<nil>", keyPath: annotations + "[lbipam.cilium.io/sharing-key]", sharesWith: []string{"shop"}},
		"Cilium, some namespaces": {annotations: map[string]string{"lbipam.cilium.io/sharing-key": "k",
			"lbipam.cilium.io/sharing-cross-namespace": "a, b"},
			key: "k", poolPath: "<nil>", keyPath: annotations + "[lbipam.cilium.io/sharing-key]", sharesWith: []string{"a", "b"}},
		"Cilium, every namespace": {annotations: map[string]string{"io.cilium/lb-ipam-sharing-key": "k",
			"io.cilium/lb-ipam-sharing-cross-namespace": "*"},
			key: "k", poolPath: "<nil>", keyPath: annotations + "[io.cilium/lb-ipam-sharing-key]", sharesWith: []string{"*"}},
		"our key, Cilium's namespaces": {annotations: map[string]string{"portolan.dev/load-balancer-sharing-key": "k",
			"lbipam.cilium.io/sharing-cross-namespace": "a"},
			key: "k", poolPath: "<nil>", keyPath: annotations + "[portolan.dev/load-balancer-sharing-key]", sharesWith: []string{"a"}},
		"the same": {annotations: map[string]string{"portolan.dev/load-balancer-sharing-key": "k", "lbipam.cilium.io/sharing-key": "k"},
			key: "k", poolPath: "<nil>", keyPath: annotations + "[portolan.dev/load-balancer-sharing-key]"},
		"contradictions": {annotations: map[string]string{"portolan.dev/load-balancer-pool": "public",
			"metallb.universe.tf/address-pool": "private",
			"metallb.io/allow-shared-ip":       "a", "lbipam.cilium.io/sharing-key": "b"},
			pool: "public", key: "a", poolPath: annotations + "[portolan.dev/load-balancer-pool]",
			keyPath: annotations + "[metallb.io/allow-shared-ip]",
			errs: []string{
				`metadata.annotations[metallb.universe.tf/address-pool]: Invalid value: "private": must be the same as metadata.annotations[portolan.dev/load-balancer-pool], which is "public"`,
				`metadata.annotations[lbipam.cilium.io/sharing-key]: Invalid value: "b": must be the same as metadata.annotations[metallb.io/allow-shared-ip], which is "a"`}},
	} {
		t.Run(name, func(t *testing.T) {
			request, errs := loadbalancer.Parse(service("", test.annotations))
			got := []string{request.Pool, request.SharingKey, fmt.Sprint(request.PoolPath), fmt.Sprint(request.SharingKeyPath)}
			check(t, "request", got, []string{test.pool, test.key, test.poolPath, test.keyPath})
			var messages []string
			for _, err := range errs {
				messages = append(messages, err.Error())
			}
			check(t, "errors", messages, test.errs)
			check(t, "namespaces", request.SharesWith, test.sharesWith)
		})
	}
}
