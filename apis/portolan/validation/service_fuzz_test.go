package validation_test

import (
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

// FuzzService combines values that the rules know. No combination may make validation
// panic, and an update without changes of a valid Service must be valid.
func FuzzService(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed, seed*7)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		before, after := randomService(rand.New(rand.NewPCG(a, 1))), randomService(rand.New(rand.NewPCG(b, 2)))
		validation.ValidateServiceUpdate(after, before)
		validation.ValidateServiceStatusUpdate(after, before)
		validation.ServiceWarnings(after, before)
		validation.ServiceStatusWarnings(after)
		if len(validation.ValidateServiceCreate(before)) > 0 {
			return
		}
		if errs := validation.ValidateServiceUpdate(before.DeepCopy(), before); len(errs) > 0 {
			t.Errorf("a valid Service is invalid in an update: %v\n%+v", errs, before.Spec)
		}
	})
}

// FuzzServiceText is FuzzService with arbitrary text in text fields.
func FuzzServiceText(f *testing.F) {
	for _, text := range []string{"", ".", "None", "10.0.0.1", "::ffff:1.2.3.4", "10.0.0.0/8", " ", "a/b/c", "80", "-", "\x00",
		"fe80::1%eth0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		everywhere := newService(loadBalancer, named(text), ips(text, text), externalIPs(text), ranges(text), class(text),
			annotation(corev1.AnnotationLoadBalancerSourceRangesKey, text), families(corev1.IPFamily(text)),
			onePort(func(p *corev1.ServicePort) {
				p.Name, p.TargetPort, p.AppProtocol, p.Protocol = text, intstr.FromString(text), &text, corev1.Protocol(text)
			}),
			func(s *v1.Service) {
				s.Spec.LoadBalancerIP, s.Spec.ExternalName, s.Spec.Selector = text, text, map[string]string{text: text}
				s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: text, Hostname: text}}
			})
		validation.ValidateServiceCreate(everywhere)
		validation.ValidateServiceUpdate(everywhere, newService())
		validation.ValidateServiceStatusUpdate(everywhere, newService())
		validation.ServiceWarnings(everywhere, nil)
		validation.ServiceStatusWarnings(everywhere)
		everywhere.Spec.Type = corev1.ServiceTypeExternalName
		validation.ValidateServiceCreate(everywhere)

		endpoints := newEndpoints(text, ready(corev1.EndpointAddress{IP: text, Hostname: text, NodeName: &text}))
		validation.ValidateEndpointsCreate(endpoints)
		validation.EndpointsWarnings(endpoints)
		if errs := validation.ValidateEndpointsUpdate(endpoints.DeepCopy(), endpoints); len(errs) > 0 &&
			len(validation.ValidateEndpointsCreate(endpoints)) == 0 {
			t.Errorf("valid Endpoints are invalid in an update: %v", errs)
		}
	})
}

func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// randomService changes a few fields of a valid Service. If all fields were random,
// hardly any Service would be valid.
func randomService(r *rand.Rand) *v1.Service {
	dns := ports(port("a", 53, "TCP", 30053), port("b", 53, "UDP", 30053))
	s := newService(pick(r,
		[]tweak{},
		[]tweak{dualStack, externalIPs("192.0.2.1"), local},
		[]tweak{ips("None"), ports()},
		[]tweak{nodePort, dualStack, dns},
		[]tweak{loadBalancer, dns},
		[]tweak{loadBalancer, local, healthCheck(30100), class("c/x"), ranges("10.0.0.0/8")},
		[]tweak{externalName},
	)...)
	for range r.IntN(4) {
		mutations[r.IntN(len(mutations))](r, &s.Spec, &s.Status)
	}
	// Half of them get defaults, as after decoding. Without defaults, many are rejected
	// for values that no client can send.
	if r.IntN(2) == 0 {
		v1.SetDefaults_Service(s)
	}
	return s
}

var mutations = []func(*rand.Rand, *corev1.ServiceSpec, *corev1.ServiceStatus){
	func(r *rand.Rand, spec *corev1.ServiceSpec, _ *corev1.ServiceStatus) {
		spec.Type = pick(r, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer,
			corev1.ServiceTypeExternalName, "Foo")
	},
	func(r *rand.Rand, spec *corev1.ServiceSpec, _ *corev1.ServiceStatus) {
		spec.ClusterIPs = pick(r, nil, []string{"10.0.0.1"}, []string{"None"}, []string{"10.0.0.1", "fd00::1"}, []string{"fd00::1", "10.0.0.1"},
			[]string{"None", "10.0.0.1"}, []string{"010.0.0.1"}, []string{""}, []string{"a", "b", "c"})
		spec.ClusterIP = pick(r, "", "10.0.0.1", "None", "fd00::1")
		if len(spec.ClusterIPs) > 0 && r.IntN(4) > 0 {
			spec.ClusterIP = spec.ClusterIPs[0]
		}
	},
	func(r *rand.Rand, spec *corev1.ServiceSpec, _ *corev1.ServiceStatus) {
		spec.IPFamilies = pick(r, nil, []corev1.IPFamily{ip4}, []corev1.IPFamily{ip6}, []corev1.IPFamily{ip4, ip6}, []corev1.IPFamily{ip6, ip4},
			[]corev1.IPFamily{ip4, ip4, "Foo"})
		spec.IPFamilyPolicy = pick(r, nil, ptr.To(corev1.IPFamilyPolicySingleStack), ptr.To(corev1.IPFamilyPolicyPreferDualStack),
			ptr.To(corev1.IPFamilyPolicyRequireDualStack), ptr.To(corev1.IPFamilyPolicy("Foo")))
	},
	func(r *rand.Rand, spec *corev1.ServiceSpec, _ *corev1.ServiceStatus) {
		spec.ExternalName = pick(r, "", "example.com", "a.", "A")
		spec.LoadBalancerIP = pick(r, "", "garbage", "01.2.3.4")
		spec.TrafficDistribution = pick(r, nil, ptr.To("PreferClose"), ptr.To("Foo"))
		spec.Selector = pick(r, nil, map[string]string{}, map[string]string{"a": "b"}, map[string]string{"a b": "c d"})
	},
	func(r *rand.Rand, spec *corev1.ServiceSpec, _ *corev1.ServiceStatus) {
		spec.ExternalTrafficPolicy = pick(r, "", corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal, "Foo")
		spec.InternalTrafficPolicy = pick(r, nil, ptr.To(corev1.ServiceInternalTrafficPolicyCluster),
			ptr.To(corev1.ServiceInternalTrafficPolicy("Foo")))
	},
	func(r *rand.Rand, spec *corev1.ServiceSpec, _ *corev1.ServiceStatus) {
		spec.HealthCheckNodePort = pick[int32](r, 0, 30100, 30101, 30053, -1)
		spec.AllocateLoadBalancerNodePorts = pick(r, nil, ptr.To(true), ptr.To(false))
	},
	func(r *rand.Rand, spec *corev1.ServiceSpec, _ *corev1.ServiceStatus) {
		spec.LoadBalancerClass = pick(r, nil, ptr.To("c/x"), ptr.To("c/y"), ptr.To("a b"))
		spec.LoadBalancerSourceRanges = pick(r, nil, []string{" 10.0.0.0/8"}, []string{"foo", "10.0.0.1/8"})
	},
	func(r *rand.Rand, spec *corev1.ServiceSpec, _ *corev1.ServiceStatus) {
		spec.ExternalIPs = pick(r, nil, []string{"192.0.2.1"}, []string{"192.0.02.1"}, []string{"127.0.0.1", "foo"})
	},
	func(r *rand.Rand, spec *corev1.ServiceSpec, _ *corev1.ServiceStatus) {
		spec.SessionAffinity = pick(r, "", corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP, "Foo")
		spec.SessionAffinityConfig = pick(r, nil, &corev1.SessionAffinityConfig{},
			&corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: ptr.To(pick[int32](r, 0, 1))}})
	},
	func(r *rand.Rand, spec *corev1.ServiceSpec, _ *corev1.ServiceStatus) {
		spec.Ports = nil
		for range r.IntN(4) {
			spec.Ports = append(spec.Ports, corev1.ServicePort{
				Name: pick(r, "", "a", "b", "c", "A"), Port: pick[int32](r, 0, 80, 81, 82, 70000),
				Protocol:   pick(r, "", corev1.ProtocolTCP, corev1.ProtocolUDP, "Foo"),
				TargetPort: pick(r, intstr.FromInt32(0), intstr.FromString("http"), intstr.FromString("80"), intstr.IntOrString{Type: 7}),
				NodePort:   pick[int32](r, 0, 30001, 30002, -5), AppProtocol: pick(r, nil, ptr.To("http"), ptr.To("a b")),
			})
		}
	},
	func(r *rand.Rand, spec *corev1.ServiceSpec, _ *corev1.ServiceStatus) {
		for i := range spec.Ports {
			spec.Ports[i].NodePort = pick[int32](r, 0, 30001)
		}
	},
	func(r *rand.Rand, _ *corev1.ServiceSpec, status *corev1.ServiceStatus) {
		status.LoadBalancer.Ingress = pick(r, nil, []corev1.LoadBalancerIngress{{}},
			[]corev1.LoadBalancerIngress{{IP: "192.0.02.1",
				IPMode: ptr.To(corev1.LoadBalancerIPMode("Foo"))}}, []corev1.LoadBalancerIngress{{Hostname: "1.2.3.4"}})
	},
}
