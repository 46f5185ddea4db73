package service_test

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

const (
	ip4 = corev1.IPv4Protocol
	ip6 = corev1.IPv6Protocol
	tcp = corev1.ProtocolTCP
	udp = corev1.ProtocolUDP

	single  = corev1.IPFamilyPolicySingleStack
	prefer  = corev1.IPFamilyPolicyPreferDualStack
	require = corev1.IPFamilyPolicyRequireDualStack
)

var (
	onlyIPv4 = []corev1.IPFamily{ip4}
	onlyIPv6 = []corev1.IPFamily{ip6}
	dual     = []corev1.IPFamily{ip4, ip6}
	dual6    = []corev1.IPFamily{ip6, ip4}
)

type tweak func(*v1.Service)

// newService returns a ClusterIP Service with a selector and nothing allocated.
func newService(tweaks ...tweak) *v1.Service {
	service := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "s"},
			Ports:    []corev1.ServicePort{{Name: "web", Port: 80}},
		},
	}
	for _, t := range tweaks {
		t(service)
	}
	v1.SetDefaults_Service(service)
	return service
}

func ofType(t corev1.ServiceType) tweak { return func(s *v1.Service) { s.Spec.Type = t } }

func ips(ips ...string) tweak {
	return func(s *v1.Service) {
		s.Spec.ClusterIP, s.Spec.ClusterIPs = "", ips
		if len(ips) > 0 {
			s.Spec.ClusterIP = ips[0]
		}
	}
}

func clusterIP(ip string) tweak { return func(s *v1.Service) { s.Spec.ClusterIP = ip } }

func clusterIPs(ips ...string) tweak { return func(s *v1.Service) { s.Spec.ClusterIPs = ips } }

func families(f ...corev1.IPFamily) tweak { return func(s *v1.Service) { s.Spec.IPFamilies = f } }

func policy(p corev1.IPFamilyPolicy) tweak {
	return func(s *v1.Service) { s.Spec.IPFamilyPolicy = &p }
}

func noSelector(s *v1.Service) { s.Spec.Selector = nil }

func ports(p ...corev1.ServicePort) tweak {
	return func(s *v1.Service) { s.Spec.Ports = slices.Clone(p) }
}

func port(name string, number int32, protocol corev1.Protocol, nodePort int32) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Port: number, Protocol: protocol, NodePort: nodePort}
}

func allocate(allocate bool) tweak {
	return func(s *v1.Service) { s.Spec.AllocateLoadBalancerNodePorts = &allocate }
}

func local(s *v1.Service) {
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
}

func healthCheck(nodePort int32) tweak {
	return func(s *v1.Service) { s.Spec.HealthCheckNodePort = nodePort }
}

func class(class string) tweak {
	return func(s *v1.Service) { s.Spec.LoadBalancerClass = ptr.To(class) }
}

func nodePorts(s *v1.Service) []int32 {
	var out []int32
	for i := range s.Spec.Ports {
		out = append(out, s.Spec.Ports[i].NodePort)
	}
	return out
}
