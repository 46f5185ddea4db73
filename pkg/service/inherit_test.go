package service_test

import (
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/service"
)

// inherit runs Inherit and checks what must hold of it whatever the input: a
// second run changes nothing, and neither run changes the stored Service.
func inherit(t *testing.T, after, before *v1.Service) {
	t.Helper()
	var stored *v1.Service
	if before != nil {
		stored = before.DeepCopy()
	}
	service.Inherit(service.After{Service: after}, service.Before{Service: before})
	once := after.DeepCopy()
	service.Inherit(service.After{Service: after}, service.Before{Service: before})
	if !apiequality.Semantic.DeepEqual(once, after) {
		t.Errorf("second run changed it: %s", diff.Diff(once, after))
	}
	if !reflect.DeepEqual(stored, before) {
		t.Errorf("stored Service changed: %s", diff.Diff(stored, before))
	}
}

func TestInheritOnCreate(t *testing.T) {
	for name, tc := range map[string]struct {
		in, want []string
		ip       string
	}{
		"clusterIP only":        {ip: "10.0.0.1", want: []string{"10.0.0.1"}},
		"clusterIPs only stays": {in: []string{"10.0.0.1"}, want: []string{"10.0.0.1"}},
		"both differ stays":     {ip: "10.0.0.1", in: []string{"10.0.0.2"}, want: []string{"10.0.0.2"}},
		"headless":              {ip: "None", want: []string{"None"}},
		"neither":               {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(clusterIP(tc.ip), clusterIPs(tc.in...))
			inherit(t, s, nil)
			if s.Spec.ClusterIP != tc.ip || !slices.Equal(s.Spec.ClusterIPs, tc.want) {
				t.Errorf("got %q %q, want %q %q", s.Spec.ClusterIP, s.Spec.ClusterIPs, tc.ip, tc.want)
			}
		})
	}
}

func TestInheritClusterIPs(t *testing.T) {
	stored := newService(ips("10.0.0.1", "fd00::1"), families(dual...), policy(prefer))
	externalName := newService(ofType(corev1.ServiceTypeExternalName))
	both := []string{"10.0.0.1", "fd00::1"}
	for name, tc := range map[string]struct {
		before, after *v1.Service
		ip            string
		ips           []string
	}{
		"both left out":             {stored, newService(), "10.0.0.1", both},
		"clusterIP left out":        {stored, newService(clusterIPs(both...)), "10.0.0.1", both},
		"clusterIPs left out":       {stored, newService(clusterIP("10.0.0.1")), "10.0.0.1", both},
		"clusterIP changed":         {stored, newService(clusterIP("10.0.0.9"), clusterIPs(both...)), "10.0.0.9", []string{"10.0.0.9"}},
		"clusterIP changed alone":   {stored, newService(clusterIP("10.0.0.9")), "10.0.0.9", []string{"10.0.0.9"}},
		"clusterIPs changed alone":  {stored, newService(clusterIP("10.0.0.1"), clusterIPs("10.0.0.9")), "10.0.0.1", []string{"10.0.0.9"}},
		"to None":                   {stored, newService(clusterIP("None"), clusterIPs(both...)), "None", []string{"None"}},
		"second one changed":        {stored, newService(ips("10.0.0.1", "fd00::9")), "10.0.0.1", []string{"10.0.0.1", "fd00::9"}},
		"legacy without, given one": {newService(), newService(clusterIP("10.0.0.1")), "10.0.0.1", []string{"10.0.0.1"}},
		"to ExternalName":           {stored, newService(ofType(corev1.ServiceTypeExternalName), ips(both...)), "", nil},
		"left out":                  {stored, newService(ofType(corev1.ServiceTypeExternalName)), "", nil},
		"clusterIP cleared":         {stored, newService(ofType(corev1.ServiceTypeExternalName), clusterIPs(both...)), "", nil},
		"another one": {
			stored, newService(ofType(corev1.ServiceTypeExternalName), clusterIP("10.0.0.9")), "10.0.0.9", []string{"10.0.0.9"},
		},
		"from ExternalName":         {externalName, newService(), "", nil},
		"from ExternalName, static": {externalName, newService(clusterIP("10.0.0.9")), "10.0.0.9", []string{"10.0.0.9"}},
		"ExternalName to headless":  {externalName, newService(clusterIP("None")), "None", []string{"None"}},
		"headless to ExternalName":  {newService(ips("None")), newService(ofType(corev1.ServiceTypeExternalName), ips("None")), "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			inherit(t, tc.after, tc.before)
			if got := tc.after.Spec; got.ClusterIP != tc.ip || !slices.Equal(got.ClusterIPs, tc.ips) {
				t.Errorf("got %q %q, want %q %q", got.ClusterIP, got.ClusterIPs, tc.ip, tc.ips)
			}
		})
	}
}

func TestInheritedSlicesAreNotShared(t *testing.T) {
	before := newService(ips("10.0.0.1", "fd00::1"), families(dual...), policy(prefer))
	after := newService()
	inherit(t, after, before)
	after.Spec.ClusterIPs[0], *after.Spec.IPFamilyPolicy = "changed", single
	if before.Spec.ClusterIPs[0] != "10.0.0.1" || *before.Spec.IPFamilyPolicy != prefer {
		t.Errorf("writing to the new Service changed the stored one: %v", before.Spec)
	}
}

func TestInheritFamilies(t *testing.T) {
	before := newService(ips("10.0.0.1", "fd00::1"), families(dual...), policy(prefer))
	t.Run("nil policy inherits", func(t *testing.T) {
		after := newService()
		inherit(t, after, before)
		if p := after.Spec.IPFamilyPolicy; p == nil || *p != prefer {
			t.Errorf("got %v", p)
		}
	})
	t.Run("wiped when left as they were", func(t *testing.T) {
		after := before.DeepCopy()
		after.Spec.Type = corev1.ServiceTypeExternalName
		inherit(t, after, before)
		if s := after.Spec; s.IPFamilyPolicy != nil || s.IPFamilies != nil || s.ClusterIP != "" || s.ClusterIPs != nil {
			t.Errorf("got %+v", s)
		}
	})
	t.Run("kept for validation when changed", func(t *testing.T) {
		after := newService(ofType(corev1.ServiceTypeExternalName), families(dual6...), policy(require))
		inherit(t, after, before)
		if s := after.Spec; s.IPFamilyPolicy == nil || len(s.IPFamilies) != 2 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestInheritNodePorts(t *testing.T) {
	np, lb := ofType(corev1.ServiceTypeNodePort), ofType(corev1.ServiceTypeLoadBalancer)
	cip, en := ofType(corev1.ServiceTypeClusterIP), ofType(corev1.ServiceTypeExternalName)
	stored := ports(port("a", 80, tcp, 30001), port("b", 81, tcp, 30002))
	open := ports(port("a", 80, tcp, 0), port("b", 81, tcp, 0))
	for name, tc := range map[string]struct {
		before, after *v1.Service
		want          []int32
	}{
		"by name":               {newService(np, stored), newService(np, open), []int32{30001, 30002}},
		"by name, other number": {newService(np, stored), newService(np, ports(port("a", 8080, tcp, 0))), []int32{30001}},
		"renamed": {
			newService(np, stored), newService(np, ports(port("x", 80, tcp, 0), port("b", 81, tcp, 0))), []int32{30001, 30002},
		},
		"name goes before number": {
			newService(np, stored), newService(np, ports(port("x", 80, tcp, 0), port("a", 81, tcp, 0))), []int32{0, 30001},
		},
		"other protocol is another port": {newService(np, stored), newService(np, ports(port("x", 80, udp, 0))), []int32{0}},
		"number in use elsewhere": {
			newService(np, stored), newService(np, ports(port("a", 82, tcp, 0), port("c", 80, tcp, 30001))), []int32{0, 30001},
		},
		"explicit change": {
			newService(np, stored), newService(np, ports(port("a", 80, tcp, 30009), port("b", 81, tcp, 0))), []int32{30009, 30002},
		},
		"swap": {
			newService(np, stored), newService(np, ports(port("a", 80, tcp, 30002), port("b", 81, tcp, 30001))), []int32{30002, 30001},
		},
		"shared one is kept by both": {newService(np, ports(port("t", 53, tcp, 30053), port("u", 53, udp, 30053))),
			newService(np, ports(port("t", 53, tcp, 0), port("u", 53, udp, 0))), []int32{30053, 30053}},
		"shared one, other number": {newService(np, ports(port("t", 53, tcp, 30053), port("u", 53, udp, 30053))),
			newService(np, ports(port("t", 54, tcp, 0), port("u", 53, udp, 0))), []int32{30053, 30053}},
		"shared one, same protocol": {newService(np, ports(port("t", 53, tcp, 30053), port("u", 53, udp, 30053))),
			newService(np, ports(port("t", 53, tcp, 0), port("u", 54, tcp, 0))), []int32{30053, 0}},
		"NodePort to LoadBalancer": {newService(np, stored), newService(lb, open), []int32{30001, 30002}},
		"nothing to inherit":       {newService(cip, open), newService(np, open), []int32{0, 0}},
		"allocate false, cleared":  {newService(lb, stored), newService(lb, open, allocate(false)), []int32{0, 0}},
		"allocate false, left":     {newService(lb, stored), newService(lb, stored, allocate(false)), []int32{30001, 30002}},
		"NodePort to ClusterIP":    {newService(np, stored), newService(cip, stored), []int32{0, 0}},
		"ports rearranged":         {newService(np, stored), newService(cip, ports(port("z", 9, udp, 30002))), []int32{0}},
		"with a new one": {
			newService(np, stored), newService(cip, ports(port("a", 80, tcp, 30001), port("b", 81, tcp, 30009))), []int32{30001, 30009},
		},
		"to ExternalName":                     {newService(np, stored), newService(en, stored), []int32{0, 0}},
		"stored ExternalName with node ports": {newService(en, stored), newService(en, stored), []int32{0, 0}},
		"ExternalName given a node port":      {newService(en, open), newService(en, stored), []int32{30001, 30002}},
	} {
		t.Run(name, func(t *testing.T) {
			inherit(t, tc.after, tc.before)
			if got := nodePorts(tc.after); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestInheritLoadBalancerFields(t *testing.T) {
	lb := ofType(corev1.ServiceTypeLoadBalancer)
	ingress := func(s *v1.Service) {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	}
	before := newService(lb, local, healthCheck(30100), class("c/x"), ingress)
	same := func(t corev1.ServiceType) *v1.Service {
		s := before.DeepCopy()
		s.Spec.Type = t
		return s
	}
	type left struct {
		healthCheck       int32
		alloc, class, lbs bool
		policy            corev1.ServiceExternalTrafficPolicy
	}
	for name, tc := range map[string]struct {
		before, after *v1.Service
		want          left
	}{
		"left out": {before, newService(lb, local, class("c/x"), ingress), left{30100, true, true, true, "Local"}},
		"changed": {
			before, newService(lb, local, class("c/x"), ingress, healthCheck(30101)), left{30101, true, true, true, "Local"},
		},
		"Local to Cluster": {before, newService(lb, class("c/x"), ingress, healthCheck(30100)), left{0, true, true, true, "Cluster"}},
		"Local to Cluster, changed": {
			before, newService(lb, class("c/x"), ingress, healthCheck(30101)), left{30101, true, true, true, "Cluster"},
		},
		"to NodePort":                 {before, same(corev1.ServiceTypeNodePort), left{0, false, false, false, "Local"}},
		"to ClusterIP":                {before, same(corev1.ServiceTypeClusterIP), left{}},
		"to ExternalName":             {before, same(corev1.ServiceTypeExternalName), left{}},
		"changed stays":               {before, newService(class("c/y"), allocate(false)), left{0, true, true, false, ""}},
		"external IPs removed":        {newService(externalIP), newService(etp("Cluster")), left{}},
		"external IPs removed, Local": {newService(externalIP), newService(local), left{policy: "Local"}},
		"to LoadBalancer with class":  {newService(), newService(lb, class("c/x")), left{0, true, true, false, "Cluster"}},
	} {
		t.Run(name, func(t *testing.T) {
			inherit(t, tc.after, tc.before)
			s := tc.after.Spec
			got := left{s.HealthCheckNodePort, s.AllocateLoadBalancerNodePorts != nil, s.LoadBalancerClass != nil,
				len(tc.after.Status.LoadBalancer.Ingress) > 0, s.ExternalTrafficPolicy}
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func externalIP(s *v1.Service) { s.Spec.ExternalIPs = []string{"192.0.2.1"} }

func etp(policy corev1.ServiceExternalTrafficPolicy) tweak {
	return func(s *v1.Service) { s.Spec.ExternalTrafficPolicy = policy }
}
