package validation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

func runOnCreate(t *testing.T, rules []rule) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			expect(t, validation.ValidateServiceCreate(newService(r.tweaks...)), r.want...)
		})
	}
}

func named(name string) tweak { return func(s *v1.Service) { s.Name = name } }

func TestServiceMetadata(t *testing.T) {
	runOnCreate(t, []rule{
		fine("valid"),
		fine("digit first", named("1a")),
		breaks("upper case", causes(iv("metadata.name", label1123)), named("Web")),
		breaks("dots", causes(iv("metadata.name", "must not contain dots")), named("a.b")),
		breaks("too long", causes(iv("metadata.name", "must be no more than 63 characters")), named(strings.Repeat("a", 64))),
		breaks("no name", causes(cause{"Required", "metadata.name", "name or generateName is required"}), named("")),
		breaks("label", causes(iv("metadata.labels", badValue)), func(s *v1.Service) { s.Labels = map[string]string{"a": "b c"} }),
		breaks("annotations differ", causes(iv("metadata.annotations[service.kubernetes.io/topology-mode]",
			"must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified")),
			annotation(corev1.AnnotationTopologyMode, "Auto"), annotation(corev1.DeprecatedAnnotationTopologyAwareHints, "Disabled")),
		fine("same", annotation(corev1.AnnotationTopologyMode, "Auto"), annotation(corev1.DeprecatedAnnotationTopologyAwareHints, "Auto")),
	})
}

func port(name string, number int32, protocol corev1.Protocol, nodePort int32) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Port: number, Protocol: protocol, NodePort: nodePort}
}

func TestServicePorts(t *testing.T) {
	number := func(n int32) tweak { return onePort(func(p *corev1.ServicePort) { p.Port = n }) }
	target := func(to intstr.IntOrString) tweak {
		return onePort(func(p *corev1.ServicePort) { p.TargetPort = to })
	}
	app := func(protocol string) tweak {
		return onePort(func(p *corev1.ServicePort) { p.AppProtocol = &protocol })
	}
	const path, to = "spec.ports[0].port", "spec.ports[0].targetPort"
	const notForClusterIP, notForExternalName = "may not be used when `type` is 'ClusterIP'", "may not be used when `type` is 'ExternalName'"
	rules := []rule{
		breaks("none", causes(rq("spec.ports")), ports()),
		fine("headless", ips("None"), ports()),
		fine("ExternalName", externalName, ports()),
		breaks("0", causes(iv(path, badPort), iv(to, badPort)), number(0)),
		breaks("-1", causes(iv(path, badPort), iv(to, badPort)), number(-1)),
		breaks("65536", causes(iv(path, badPort), iv(to, badPort)), number(65536)),
		breaks("unnamed", causes(rq("spec.ports[0].name"), rq("spec.ports[1].name")), ports(port("", 80, "", 0), port("", 81, "", 0))),
		breaks("duplicate", causes(dp("spec.ports[1].name")), ports(port("a", 80, "", 0), port("a", 81, "", 0))),
		breaks("bad", causes(iv("spec.ports[0].name", label1123)), ports(port("A", 80, "", 0))),
		breaks("long", causes(iv("spec.ports[0].name", "must be no more than 63 characters")), ports(port(strings.Repeat("a", 64), 80, "", 0))),
		breaks("same number and protocol", causes(dp("spec.ports[1]")), ports(port("a", 80, "", 0), port("b", 80, "TCP", 0))),
		fine("other protocol", ports(port("a", 80, "", 0), port("b", 80, "UDP", 0))),
		breaks("lower case", causes(ns("spec.ports[0].protocol", `"SCTP", "TCP", "UDP"`)), ports(port("", 80, "tcp", 0))),
		fine("SCTP", ports(port("", 80, "SCTP", 0))),
		breaks("target out of range", causes(iv(to, badPort)), target(intstr.FromInt32(65536))),
		breaks("upper case", causes(iv(to, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"),
			iv(to, "must contain at least one letter (a-z)")), target(intstr.FromString("HTTP"))),
		breaks("number", causes(iv(to, "must contain at least one letter (a-z)")), target(intstr.FromString("80"))),
		breaks("hyphens", causes(iv(to, "must not contain consecutive hyphens")), target(intstr.FromString("a--b"))),
		breaks("long", causes(iv(to, "must be no more than 15 characters")), target(intstr.FromString(strings.Repeat("a", 16)))),
		breaks("hyphen last", causes(iv(to, "must not begin or end with a hyphen")), target(intstr.FromString("a-"))),
		breaks("appProtocol", causes(iv("spec.ports[0].appProtocol", qname)), app("a b")),
		fine("prefixed", app("kubernetes.io/h2c")),
		breaks("node port of a ClusterIP", causes(fb("spec.ports[0].nodePort", notForClusterIP)), ports(port("", 80, "", 30001))),
		breaks("node port of an ExternalName", causes(fb("spec.ports[0].nodePort", notForExternalName)), externalName,
			ports(port("", 80, "", 30001))),
		breaks("node port twice", causes(dp("spec.ports[1].nodePort")), nodePort, ports(port("a", 80, "", 30001), port("b", 81, "", 30001))),
		fine("C10 other protocol", nodePort, ports(port("a", 80, "", 30001), port("b", 81, "UDP", 30001))),
		fine("open node port", nodePort),
	}
	runOnCreate(t, rules)
	for _, r := range rules {
		t.Run("ports only/"+r.name, func(t *testing.T) {
			expect(t, validation.ValidateServicePorts(newService(r.tweaks...)), r.want...)
		})
	}
}

func TestServicePortsLimits(t *testing.T) {
	t.Run("value", func(t *testing.T) {
		errs := validation.ValidateServicePorts(newService(ports(port("a", 80, "", 0), port("b", 80, "", 0))))
		const want = `spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}`
		if got := errs.ToAggregate().Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
	t.Run("thousands", func(t *testing.T) {
		var many []corev1.ServicePort
		for i := range int32(3000) {
			many = append(many, port(fmt.Sprint("p", i), i+1, "", 0))
		}
		expect(t, validation.ValidateServicePorts(newService(ports(many...))))
	})
}

func TestServiceTypeAndSelector(t *testing.T) {
	const notForExternalName = "may not be set for ExternalName services"
	selector := func(selector map[string]string) tweak {
		return func(s *v1.Service) { s.Spec.Selector = selector }
	}
	name := func(name string) tweak { return func(s *v1.Service) { s.Spec.ExternalName = name } }
	runOnCreate(t, []rule{
		breaks("unknown", causes(ns("spec.type", `"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"`)),
			spec(func(s *corev1.ServiceSpec) { s.Type = "Foo" })),
		breaks("key", causes(iv("spec.selector", qname)), selector(map[string]string{"a b": ""})),
		breaks("value", causes(iv("spec.selector", badValue)), selector(map[string]string{"a": "b c"})),
		fine("empty", selector(map[string]string{})),
		fine("plain", externalName),
		fine("fully qualified", externalName, name("example.com.")),
		fine("address", externalName, name("1.2.3.4")),
		breaks("missing", causes(rq("spec.externalName")), externalName, name("")),
		breaks("dot", causes(rq("spec.externalName")), externalName, name(".")),
		breaks("two dots", causes(iv("spec.externalName", subdomain)), externalName, name("example.com..")),
		breaks("upper case", causes(iv("spec.externalName", subdomain)), externalName, name("Example.com")),
		breaks("underscore", causes(iv("spec.externalName", subdomain)), externalName, name("a_b.com")),
		breaks("address", causes(fb("spec.clusterIPs", notForExternalName)), externalName, ips("10.0.0.1")),
		breaks("None", causes(fb("spec.clusterIPs", notForExternalName)), externalName, ips("None")),
		breaks("families", causes(fb("spec.ipFamilies", notForExternalName)), externalName, families(corev1.IPv4Protocol)),
		breaks("policy", causes(fb("spec.ipFamilyPolicy", notForExternalName)), externalName, policy(corev1.IPFamilyPolicySingleStack)),
		fine("name on another type", name("anything goes")),
		breaks("traffic policy of an ExternalName",
			causes(iv("spec.externalTrafficPolicy", "may only be set for externally-accessible services")), externalName, local),
		breaks("NodePort", causes(iv("spec.clusterIPs[0]", "may not be set to 'None' for NodePort services")), nodePort, ips("None")),
		breaks("LoadBalancer", causes(iv("spec.clusterIPs[0]", "may not be set to 'None' for LoadBalancer services")), loadBalancer, ips("None")),
	})
}

func TestServiceSessionAffinity(t *testing.T) {
	const path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
	const outOfRange = "must be greater than 0 and less than 86400"
	clientIP := func(seconds int32) tweak {
		return spec(func(s *corev1.ServiceSpec) {
			s.SessionAffinity = corev1.ServiceAffinityClientIP
			s.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}
		})
	}
	runOnCreate(t, []rule{
		breaks("unknown", causes(ns("spec.sessionAffinity", `"ClientIP", "None"`)),
			spec(func(s *corev1.ServiceSpec) { s.SessionAffinity = "Foo" })),
		breaks("0", causes(iv(path, outOfRange)), clientIP(0)),
		breaks("86401", causes(iv(path, outOfRange)), clientIP(86401)),
		fine("86400", clientIP(86400)),
	})
	for name, tc := range map[string]struct {
		affinity corev1.ServiceAffinity
		config   *corev1.SessionAffinityConfig
		want     cause
	}{
		"unset": {"", nil, rq("spec.sessionAffinity")},
		"None": {
			"None", &corev1.SessionAffinityConfig{}, fb("spec.sessionAffinityConfig", "must not be set when session affinity is None"),
		},
		"no config": {"ClientIP", nil, cause{"Required", "spec.sessionAffinityConfig", "when session affinity type is ClientIP"}},
		"no IP": {"ClientIP", &corev1.SessionAffinityConfig{},
			cause{"Required", "spec.sessionAffinityConfig.clientIP", "when session affinity type is ClientIP"}},
		"no timeout": {"ClientIP", &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{}},
			cause{"Required", path, "when session affinity type is ClientIP"}},
	} {
		t.Run("without defaults/"+name, func(t *testing.T) {
			s := newService()
			s.Spec.SessionAffinity, s.Spec.SessionAffinityConfig = tc.affinity, tc.config
			expect(t, validation.ValidateServiceCreate(s), tc.want)
		})
	}
}

func TestServiceTraffic(t *testing.T) {
	etp := func(policy string) tweak {
		return spec(func(s *corev1.ServiceSpec) { s.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicy(policy) })
	}
	itp := func(policy corev1.ServiceInternalTrafficPolicy) tweak {
		return spec(func(s *corev1.ServiceSpec) { s.InternalTrafficPolicy = &policy })
	}
	distribution := func(d string) tweak {
		return spec(func(s *corev1.ServiceSpec) { s.TrafficDistribution = ptr.To(d) })
	}
	const hc = "spec.healthCheckNodePort"
	const notNeeded = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
	runOnCreate(t, []rule{
		breaks("internal only", causes(iv("spec.externalTrafficPolicy", "may only be set for externally-accessible services")), local),
		fine("external IPs", externalIPs("192.0.2.1"), local),
		breaks("bad", causes(ns("spec.externalTrafficPolicy", `"Cluster", "Local"`)), nodePort, etp("Foo")),
		breaks("bad", causes(ns("spec.internalTrafficPolicy", `"Cluster", "Local"`)), itp("Foo")),
		fine("ExternalName", externalName, itp("Local")),
		breaks("unknown distribution", causes(ns("spec.trafficDistribution", `"PreferClose", "PreferSameZone", "PreferSameNode"`)),
			distribution("Foo")),
		fine("PreferSameNode", distribution("PreferSameNode")),
		breaks("Cluster", causes(iv(hc, notNeeded)), loadBalancer, healthCheck(30100)),
		breaks("NodePort", causes(iv(hc, notNeeded)), nodePort, local, healthCheck(30100)),
		breaks("ExternalName", causes(iv(hc, notNeeded)), externalName, healthCheck(30100)),
		fine("local", loadBalancer, local, healthCheck(30100)),
		fine("none", loadBalancer, local),
		breaks("own node port", causes(iv(hc, "provided port is already allocated")), loadBalancer, local, healthCheck(30001),
			ports(port("", 80, "", 30001))),
		breaks("no port number", causes(iv(hc, badPort)), loadBalancer, local, healthCheck(70000)),
	})
	t.Run("without defaults", func(t *testing.T) {
		s := newService(nodePort)
		s.Spec.ExternalTrafficPolicy, s.Spec.InternalTrafficPolicy = "", nil
		expect(t, validation.ValidateServiceCreate(s), rq("spec.externalTrafficPolicy"), rq("spec.internalTrafficPolicy"))
	})
}

// TestServiceErrorsOrder wants one error of each sort, in upstream's order.
func TestServiceErrorsOrder(t *testing.T) {
	service := newService(func(s *v1.Service) {
		s.Annotations = map[string]string{corev1.AnnotationTopologyMode: "a", corev1.DeprecatedAnnotationTopologyAwareHints: "b"}
		s.Spec.Ports = []corev1.ServicePort{port("a", 0, "TCP", 30000), port("b", 0, "TCP", 30000)}
		s.Spec.Selector = map[string]string{"a": "b c"}
		s.Spec.SessionAffinity = "Other"
		s.Spec.IPFamilies = []corev1.IPFamily{"IPv5"}
		s.Spec.ExternalIPs = []string{"foo"}
		s.Spec.LoadBalancerSourceRanges = []string{"10.0.0.0/8"}
		s.Spec.AllocateLoadBalancerNodePorts = ptr.To(true)
		s.Spec.LoadBalancerClass = ptr.To("a")
		s.Spec.ExternalTrafficPolicy = "Other"
		s.Spec.HealthCheckNodePort = 30001
		s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicy("Other"))
		s.Spec.TrafficDistribution = ptr.To("Other")
	})
	fieldsOf := func(errs field.ErrorList) (fields []string) {
		for _, err := range errs {
			fields = append(fields, err.Field)
		}
		return fields
	}
	want := []string{
		"metadata.annotations[service.kubernetes.io/topology-mode]",
		"spec.ports[0].port", "spec.ports[0].targetPort", "spec.ports[1].port", "spec.ports[1].targetPort",
		"spec.selector", "spec.sessionAffinity", "spec.ipFamilies[0]", "spec.externalIPs[0]",
		"spec.ports[0].nodePort", "spec.ports[1].nodePort", "spec.ports[1].nodePort", "spec.ports[1]",
		"spec.LoadBalancerSourceRanges", "spec.allocateLoadBalancerNodePorts", "spec.loadBalancerClass",
		"spec.externalTrafficPolicy", "spec.healthCheckNodePort", "spec.internalTrafficPolicy", "spec.trafficDistribution",
	}
	if got := fieldsOf(validation.ValidateServiceCreate(service)); !slices.Equal(got, want) {
		t.Errorf("create: got\n%q, want\n%q", got, want)
	}

	service.Spec.Ports, service.Spec.Type, service.Spec.SessionAffinity = nil, "Other", ""
	want = []string{
		"spec.ipFamilies[0]", "spec.loadBalancerClass", "metadata.annotations[service.kubernetes.io/topology-mode]", "spec.ports",
		"spec.selector", "spec.sessionAffinity", "spec.ipFamilies[0]", "spec.externalIPs[0]", "spec.type",
		"spec.LoadBalancerSourceRanges", "spec.allocateLoadBalancerNodePorts",
		"spec.externalTrafficPolicy", "spec.healthCheckNodePort", "spec.internalTrafficPolicy", "spec.trafficDistribution",
	}
	old := newService()
	service.ResourceVersion, old.ResourceVersion = "1", "1"
	if got := fieldsOf(validation.ValidateServiceUpdate(service, old)); !slices.Equal(got, want) {
		t.Errorf("update: got\n%q, want\n%q", got, want)
	}
}

func TestBounded(t *testing.T) {
	var many []corev1.ServicePort
	for range 1000 {
		many = append(many, corev1.ServicePort{})
	}
	for name, errs := range map[string]field.ErrorList{
		"create": validation.ValidateServiceCreate(newService(ports(many...))),
		"update": validation.ValidateServiceUpdate(newService(ports(many...)), newService()),
		"ports":  validation.ValidateServicePorts(newService(ports(many...))),
	} {
		if n := len(errs); n != 200 || !strings.HasSuffix(errs[n-1].Detail, "; there are more errors, which are not listed") {
			t.Errorf("%s: %d errors, the last one is %v", name, n, errs[n-1])
		}
		if text := errs.ToAggregate().Error(); strings.Count(text, "not listed") != 1 {
			t.Errorf("%s: it is not said once that there are more: %s", name, text)
		}
	}
	few := validation.ValidateServiceCreate(newService(ports(many[:40]...)))
	if strings.Contains(few.ToAggregate().Error(), "not listed") {
		t.Errorf("nothing is left out of %d errors", len(few))
	}
}
