package validation_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

func TestServiceWarnings(t *testing.T) {
	headless := ips("None")
	lbIP := func(ip string) tweak { return spec(func(s *corev1.ServiceSpec) { s.LoadBalancerIP = ip }) }
	const deprecated = "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
	for name, tc := range map[string]struct {
		tweaks []tweak
		want   []string
	}{
		"none": {nil, nil},
		"trafficDistribution": {[]tweak{spec(func(s *corev1.ServiceSpec) { s.TrafficDistribution = ptr.To("PreferClose") })},
			[]string{`spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"`}},
		"topology-aware hints": {[]tweak{annotation(corev1.DeprecatedAnnotationTopologyAwareHints, "Auto")},
			[]string{"annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead"}},
		"external IPs": {[]tweak{externalIPs("192.0.2.1")}, []string{deprecated}},
		"loadBalancer": {
			[]tweak{headless, lbIP("192.0.2.1")}, []string{"spec.loadBalancerIP is ignored for headless services"},
		},
		"externalIPs": {
			[]tweak{headless, externalIPs("192.0.2.1")}, []string{"spec.externalIPs is ignored for headless services"},
		},
		"affinity": {[]tweak{headless, spec(func(s *corev1.ServiceSpec) { s.SessionAffinity = "ClientIP" })},
			[]string{"spec.SessionAffinity is ignored for headless services"}},
		"externalIPs of an ExternalName": {
			[]tweak{externalName, externalIPs("192.0.2.1")}, []string{`spec.externalIPs is ignored when spec.type is "ExternalName"`},
		},
		"externalName": {[]tweak{spec(func(s *corev1.ServiceSpec) { s.ExternalName = "a" })},
			[]string{`spec.externalName is ignored when spec.type is not "ExternalName"`}},
		"clusterIPs": {[]tweak{ips("10.0.0.1", "FD00::1")},
			[]string{`spec.clusterIPs[1]: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")`}},
		"externalIPs, spelled oddly": {[]tweak{externalIPs("01.2.3.4")},
			[]string{`spec.externalIPs[0]: non-standard IP address "01.2.3.4" is invalid: use "1.2.3.4"`, deprecated}},
		"loadBalancerIP, spelled oddly": {
			[]tweak{loadBalancer, lbIP("01.2.3.4")}, []string{`spec.loadBalancerIP: non-standard IP address "01.2.3.4" is invalid: use "1.2.3.4"`},
		},
		"loadBalancerIP that is stored": {[]tweak{loadBalancer, lbIP("garbage")}, nil},
		"host bits": {[]tweak{loadBalancer, ranges("10.0.0.1/8")},
			[]string{`spec.loadBalancerSourceRanges[0]: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)`}},
		"leading zeros": {[]tweak{loadBalancer, ranges("010.0.0.0/8")},
			[]string{`spec.loadBalancerSourceRanges[0]: non-standard CIDR value "010.0.0.0/8" is invalid: use "10.0.0.0/8"`}},
		"annotations": {[]tweak{
			annotation("portolan.dev/service-cidr", "a"),
			annotation("portolan.dev/node-port-range", "a"),
			annotation("portolan.dev/servicecidr", "a"),
		},
			[]string{"metadata.annotations[portolan.dev/servicecidr]: unknown annotation"}},
		"retained": {[]tweak{annotation("portolan.dev/retain", "true"), annotation("portolan.dev/retain-for", "1h")}, nil},
		"not retained": {[]tweak{annotation("portolan.dev/retain-for", "1h")},
			[]string{`metadata.annotations[portolan.dev/retain-for]: has no effect without portolan.dev/retain: "true"`}},
		"canonical": {[]tweak{loadBalancer, ranges("FD00::/8")},
			[]string{`spec.loadBalancerSourceRanges[0]: IPv6 CIDR value "FD00::/8" should be in RFC 5952 canonical format ("fd00::/8")`}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := validation.ServiceWarnings(newService(tc.tweaks...), nil); !slices.Equal(got, tc.want) {
				t.Errorf("\n got %q\nwant %q", got, tc.want)
			}
		})
	}
	t.Run("status", func(t *testing.T) {
		s := newService(loadBalancer, func(s *v1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "a"}, {IP: "01.2.3.4"}}
		})
		want := []string{`status.loadBalancer.ingress[1]: non-standard IP address "01.2.3.4" is invalid: use "1.2.3.4"`}
		if got := validation.ServiceStatusWarnings(s); !slices.Equal(got, want) {
			t.Errorf("\n got %q\nwant %q", got, want)
		}
	})
}
