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
		"none":                          {nil, nil},
		"A171":                          {[]tweak{spec(func(s *corev1.ServiceSpec) { s.TrafficDistribution = ptr.To("PreferClose") })}, []string{`spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"`}},
		"A172":                          {[]tweak{annotation(corev1.DeprecatedAnnotationTopologyAwareHints, "Auto")}, []string{"annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead"}},
		"A173":                          {[]tweak{externalIPs("192.0.2.1")}, []string{deprecated}},
		"A174 loadBalancer":             {[]tweak{headless, lbIP("192.0.2.1")}, []string{"spec.loadBalancerIP is ignored for headless services"}},
		"A174 externalIPs":              {[]tweak{headless, externalIPs("192.0.2.1")}, []string{"spec.externalIPs is ignored for headless services"}},
		"A174 affinity":                 {[]tweak{headless, spec(func(s *corev1.ServiceSpec) { s.SessionAffinity = "ClientIP" })}, []string{"spec.SessionAffinity is ignored for headless services"}},
		"A175 externalIPs":              {[]tweak{externalName, externalIPs("192.0.2.1")}, []string{`spec.externalIPs is ignored when spec.type is "ExternalName"`}},
		"A175 externalName":             {[]tweak{spec(func(s *corev1.ServiceSpec) { s.ExternalName = "a" })}, []string{`spec.externalName is ignored when spec.type is not "ExternalName"`}},
		"A176 clusterIPs":               {[]tweak{ips("10.0.0.1", "FD00::1")}, []string{`spec.clusterIPs[1]: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")`}},
		"A176 externalIPs":              {[]tweak{externalIPs("01.2.3.4")}, []string{`spec.externalIPs[0]: non-standard IP address "01.2.3.4" is invalid: use "1.2.3.4"`, deprecated}},
		"A176 loadBalancer":             {[]tweak{loadBalancer, lbIP("01.2.3.4")}, []string{`spec.loadBalancerIP: non-standard IP address "01.2.3.4" is invalid: use "1.2.3.4"`}},
		"loadBalancerIP that is stored": {[]tweak{loadBalancer, lbIP("garbage")}, nil},
		"A177 host bits":                {[]tweak{loadBalancer, ranges("10.0.0.1/8")}, []string{`spec.loadBalancerSourceRanges[0]: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)`}},
		"A177 leading zeros":            {[]tweak{loadBalancer, ranges("010.0.0.0/8")}, []string{`spec.loadBalancerSourceRanges[0]: non-standard CIDR value "010.0.0.0/8" is invalid: use "10.0.0.0/8"`}},
		"A177 canonical":                {[]tweak{loadBalancer, ranges("FD00::/8")}, []string{`spec.loadBalancerSourceRanges[0]: IPv6 CIDR value "FD00::/8" should be in RFC 5952 canonical format ("fd00::/8")`}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := validation.ServiceWarnings(newService(tc.tweaks...), nil); !slices.Equal(got, tc.want) {
				t.Errorf("\n got %q\nwant %q", got, tc.want)
			}
		})
	}
	t.Run("A176 status", func(t *testing.T) {
		s := newService(loadBalancer, func(s *v1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "a"}, {IP: "01.2.3.4"}}
		})
		want := []string{`status.loadBalancer.ingress[1]: non-standard IP address "01.2.3.4" is invalid: use "1.2.3.4"`}
		if got := validation.ServiceStatusWarnings(s); !slices.Equal(got, want) {
			t.Errorf("\n got %q\nwant %q", got, want)
		}
	})
}
