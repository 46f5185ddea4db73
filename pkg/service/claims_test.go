package service_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/service"
)

func TestNeeds(t *testing.T) {
	np, lb, en := ofType(corev1.ServiceTypeNodePort), ofType(corev1.ServiceTypeLoadBalancer), ofType(corev1.ServiceTypeExternalName)
	type needs struct{ clusterIP, headless, nodePort, mayNodePort, healthCheck bool }
	for name, tc := range map[string]struct {
		in   *v1.Service
		want needs
	}{
		"ClusterIP":            {newService(), needs{clusterIP: true}},
		"headless":             {newService(ips("None")), needs{headless: true}},
		"NodePort":             {newService(np), needs{clusterIP: true, nodePort: true, mayNodePort: true}},
		"NodePort, Local":      {newService(np, local), needs{clusterIP: true, nodePort: true, mayNodePort: true}},
		"any LoadBalancer":     {newService(lb), needs{clusterIP: true, nodePort: true, mayNodePort: true}},
		"allocate false":       {newService(lb, allocate(false)), needs{clusterIP: true, mayNodePort: true}},
		"LoadBalancer":         {newService(lb, local), needs{clusterIP: true, nodePort: true, mayNodePort: true, healthCheck: true}},
		"ExternalName":         {newService(en), needs{}},
		"ExternalName, 'None'": {newService(en, ips("None")), needs{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := needs{service.NeedsClusterIP(tc.in), service.IsHeadless(tc.in), service.NeedsNodePort(tc.in),
				service.MayHaveNodePort(tc.in), service.NeedsHealthCheckNodePort(tc.in)}
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestAdoptAndOpenNodePorts(t *testing.T) {
	np, lb := ofType(corev1.ServiceTypeNodePort), ofType(corev1.ServiceTypeLoadBalancer)
	for name, tc := range map[string]struct {
		in      *v1.Service
		adopted []int32
		open    [][]int
	}{
		"each port one": {newService(np, ports(port("a", 80, tcp, 0), port("b", 81, tcp, 0))), []int32{0, 0}, [][]int{{0}, {1}}},
		"both open share": {
			newService(np, ports(port("a", 53, tcp, 0), port("x", 80, tcp, 0), port("b", 53, udp, 0))), []int32{0, 0, 0}, [][]int{{0, 2}, {1}},
		},
		"the other adopts": {newService(np, ports(port("a", 53, tcp, 0), port("b", 53, udp, 30053))), []int32{30053, 30053}, nil},
		"both explicit": {
			newService(np, ports(port("a", 53, tcp, 30053), port("b", 53, udp, 30053))), []int32{30053, 30053}, nil,
		},
		"two others adopt": {
			newService(np, ports(port("a", 53, tcp, 30053), port("b", 53, udp, 0), port("c", 53, "SCTP", 0))), []int32{30053, 30053, 30053}, nil,
		},
		"number taken by other port": {newService(np, ports(port("a", 53, tcp, 30053), port("b", 54, udp, 30053), port("c", 53, udp, 0))),
			[]int32{30053, 30053, 0}, [][]int{{2}}},
		"second twin has a free number": {newService(np,
			ports(port("a", 53, tcp, 30053), port("b", 54, udp, 30053), port("c", 53, "SCTP", 30054), port("d", 53, udp, 0))), []int32{30053, 30053,
			30054, 30054}, nil},
		"allocate false": {
			newService(lb, allocate(false), ports(port("a", 53, tcp, 30053), port("b", 53, udp, 0))), []int32{30053, 0}, nil,
		},
		"load balancer":               {newService(lb), []int32{0}, [][]int{{0}}},
		"ClusterIP":                   {newService(), []int32{0}, nil},
		"same port twice never share": {newService(np, ports(port("a", 80, tcp, 0), port("b", 80, tcp, 0))), []int32{0, 0}, [][]int{{0}, {1}}},
		"nor adopt from one another": {
			newService(np, ports(port("a", 80, tcp, 30080), port("b", 80, tcp, 0))), []int32{30080, 0}, [][]int{{1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				service.AdoptNodePorts(tc.in)
			}
			if got := nodePorts(tc.in); !slices.Equal(got, tc.adopted) {
				t.Errorf("adopted %v, want %v", got, tc.adopted)
			}
			if got := service.OpenNodePorts(tc.in); !reflect.DeepEqual(got, tc.open) {
				t.Errorf("open %v, want %v", got, tc.open)
			}
		})
	}
}

func TestOpenNodePortsOfAnUpdate(t *testing.T) {
	np := ofType(corev1.ServiceTypeNodePort)
	before := newService(np, ports(port("a", 53, tcp, 30053)))
	after := newService(np, ports(port("a", 53, tcp, 0), port("b", 53, udp, 0)))
	inherit(t, after, before)
	service.AdoptNodePorts(after)
	if got := nodePorts(after); !slices.Equal(got, []int32{30053, 30053}) {
		t.Errorf("a twin added on update gets %v", got)
	}
}

func TestClusterIPClaims(t *testing.T) {
	for name, tc := range map[string]struct {
		in   *v1.Service
		want []string
	}{
		"one":                   {newService(ips("10.0.0.1")), []string{"10.0.0.1"}},
		"two":                   {newService(ips("fd00::1", "10.0.0.1")), []string{"fd00::1", "10.0.0.1"}},
		"not canonical":         {newService(ips("FD00:0::0001")), []string{"fd00::1"}},
		"leading zeros":         {newService(ips("10.000.0.010")), []string{"10.0.0.10"}},
		"mapped":                {newService(ips("::ffff:10.0.0.1")), []string{"10.0.0.1"}},
		"headless":              {newService(ips("None")), nil},
		"None with an address":  {newService(ips("None", "10.0.0.1")), nil},
		"open":                  {newService(), nil},
		"open second":           {newService(ips("10.0.0.1", "")), []string{"10.0.0.1"}},
		"garbage":               {newService(ips("10.0.0.1", "foo")), []string{"10.0.0.1"}},
		"same twice":            {newService(ips("fd00::1", "fd00::0:1")), []string{"fd00::1"}},
		"clusterIP only":        {newService(clusterIP("10.0.0.1")), []string{"10.0.0.1"}},
		"ExternalName":          {newService(ofType(corev1.ServiceTypeExternalName), ips("10.0.0.1")), nil},
		"address with a suffix": {newService(ips("fe80::1%eth0")), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, addr := range service.ClusterIPs(tc.in) {
				got = append(got, addr.String())
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestNodePortClaims(t *testing.T) {
	np, lb := ofType(corev1.ServiceTypeNodePort), ofType(corev1.ServiceTypeLoadBalancer)
	dns := ports(port("u", 53, udp, 30053), port("t", 53, tcp, 30053), port("o", 80, tcp, 0))
	type claims = map[int32][]corev1.Protocol
	for name, tc := range map[string]struct {
		in   *v1.Service
		want claims
	}{
		"NodePort":              {newService(np, dns), claims{30053: {tcp, udp}}},
		"same twice":            {newService(np, ports(port("a", 1, tcp, 30001), port("b", 2, tcp, 30001))), claims{30001: {tcp}}},
		"LoadBalancer":          {newService(lb, local, dns, healthCheck(30100)), claims{30053: {tcp, udp}, 30100: nil}},
		"allocate false":        {newService(lb, local, allocate(false), dns, healthCheck(30100)), claims{30053: {tcp, udp}, 30100: nil}},
		"health check same":     {newService(lb, local, dns, healthCheck(30053)), claims{30053: {tcp, udp}}},
		"health check unneeded": {newService(lb, healthCheck(30100)), claims{}},
		"ExternalName":          {newService(ofType(corev1.ServiceTypeExternalName), dns, healthCheck(30100)), nil},
		"ClusterIP":             {newService(dns, healthCheck(30100)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := service.NodePorts(tc.in); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestNormalizeOnRead(t *testing.T) {
	itp := corev1.ServiceInternalTrafficPolicyCluster
	for name, tc := range map[string]struct {
		in       *v1.Service
		cluster  []corev1.IPFamily
		ips      []string
		policy   string
		families []corev1.IPFamily
	}{
		"clusterIP only":              {newService(clusterIP("10.0.0.1")), dual, []string{"10.0.0.1"}, "SingleStack", onlyIPv4},
		"other family than cluster's": {newService(clusterIP("fd00::1")), onlyIPv4, []string{"fd00::1"}, "SingleStack", onlyIPv6},
		"two": {
			newService(ips("fd00::1", "10.0.0.1")), dual, []string{"fd00::1", "10.0.0.1"}, "RequireDualStack", dual6,
		},
		"headless, no selector": {newService(clusterIP("None"), noSelector), onlyIPv6, []string{"None"}, "RequireDualStack", dual6},
		"headless, selector":    {newService(clusterIP("None")), dual6, []string{"None"}, "SingleStack", onlyIPv6},
		"nothing allocated":     {newService(), dual, nil, "", nil},
		"settled ones stay": {
			newService(ips("10.0.0.1"), families(ip4), policy(prefer)), dual6, []string{"10.0.0.1"}, "PreferDualStack", onlyIPv4,
		},
		"ExternalName": {
			newService(ofType(corev1.ServiceTypeExternalName), func(s *v1.Service) { s.Spec.InternalTrafficPolicy = &itp }), dual, nil, "", nil,
		},
		"headless, cluster without a range": {newService(clusterIP("None")), nil, []string{"None"}, "SingleStack", onlyIPv4},
	} {
		t.Run(name, func(t *testing.T) {
			cached := tc.in.DeepCopy()
			read := *cached
			for range 2 {
				service.NormalizeOnRead(&read, tc.cluster)
			}
			if !reflect.DeepEqual(cached, tc.in) {
				t.Errorf("the cached Service changed to %+v", cached.Spec)
			}
			got := ""
			if read.Spec.IPFamilyPolicy != nil {
				got = string(*read.Spec.IPFamilyPolicy)
			}
			if !slices.Equal(read.Spec.ClusterIPs, tc.ips) || got != tc.policy || !slices.Equal(read.Spec.IPFamilies, tc.families) {
				t.Errorf("got %v %q %v, want %v %q %v", read.Spec.ClusterIPs, got, read.Spec.IPFamilies, tc.ips, tc.policy, tc.families)
			}
			if hasPolicy := read.Spec.InternalTrafficPolicy != nil; hasPolicy == (read.Spec.Type == corev1.ServiceTypeExternalName) {
				t.Errorf("internalTrafficPolicy is %v", read.Spec.InternalTrafficPolicy)
			}
		})
	}
}

// Every rule is linear in the number of ports, of which there may be thousands.
func BenchmarkRulesOn3000Ports(b *testing.B) {
	var many []corev1.ServicePort
	for i := range int32(3000) {
		many = append(many, port(fmt.Sprint("p", i), i+1, tcp, 0))
	}
	open := newService(ofType(corev1.ServiceTypeNodePort), ports(many...))
	stored := open.DeepCopy()
	for i := range stored.Spec.Ports {
		stored.Spec.Ports[i].NodePort = 30000 + int32(i)
	}
	for b.Loop() {
		after := open.DeepCopy()
		service.Inherit(service.After{Service: after}, service.Before{Service: stored})
		service.AdoptNodePorts(open)
		service.OpenNodePorts(open)
		service.NodePorts(stored)
	}
}
