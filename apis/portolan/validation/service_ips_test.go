package validation_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

const (
	ip4 = corev1.IPv4Protocol
	ip6 = corev1.IPv6Protocol
)

func TestServiceClusterIPs(t *testing.T) {
	plain := spec(func(s *corev1.ServiceSpec) { s.IPFamilies = nil })
	only := func(ip string, ips ...string) tweak {
		return func(s *v1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = ip, ips }
	}
	const first, all = "spec.clusterIPs[0]", "spec.clusterIPs"
	rules := []rule{
		fine("open", ips()),
		breaks("clusterIPs only", causes(iv(all, "must be empty when `clusterIP` is not specified")), only("", "10.0.0.1")),
		breaks("clusterIP only", causes(rq(all)), only("10.0.0.1")),
		breaks("differ", causes(iv(all, "first value must match `clusterIP`")), only("10.0.0.1", "10.0.0.2")),
		breaks("three", causes(iv(all, "may only hold up to 2 values")), ips("10.0.0.1", "fd00::1", "10.0.0.2")),
		breaks("one family", causes(iv(all, "may specify no more than one IP for each IP family")), ips("10.0.0.1", "10.0.0.2")),
		breaks("None first", causes(iv(all, "'None' must be the first and only value")), ips("None", "10.0.0.1")),
		breaks("None second", causes(iv("spec.clusterIPs[1]", badIP)), ips("10.0.0.1", "None")),
		breaks("family", causes(ns("spec.ipFamilies[0]", `"IPv4", "IPv6"`)), families("IPv5")),
		breaks("duplicate", causes(dp("spec.ipFamilies[1]")), families(ip4, ip4)),
		breaks("policy", causes(ns("spec.ipFamilyPolicy", `"PreferDualStack", "RequireDualStack", "SingleStack"`)), policy("Foo")),
		breaks("IPv6", causes(iv(first, "expected an IPv6 value as indicated by `ipFamilies[0]`")), families(ip6)),
		breaks("IPv4", causes(iv(first, "expected an IPv4 value as indicated by `ipFamilies[0]`")), ips("fd00::1")),
		fine("headless", ips("None"), families(ip6)),
		breaks("not an address", causes(iv(first, badIP)), ips("foo")),
		breaks("leading zeros", causes(iv(first, "must not have leading 0s")), ips("10.096.0.6")),
		breaks("mapped", causes(iv(first, "must not be an IPv4-mapped IPv6 address")), ips("::ffff:10.96.0.6")),
		fine("not canonical", plain, ips("FD00:0::1")),
		fine("dual stack", dualStack),
	}
	runOnCreate(t, rules)
	for _, r := range rules {
		t.Run("addresses only/"+r.name, func(t *testing.T) {
			expect(t, validation.ValidateServiceClusterIPs(newService(r.tweaks...), nil), r.want...)
		})
	}
}

func TestServiceExternalIPs(t *testing.T) {
	const first = "spec.externalIPs[0]"
	const loopback = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
	const linkLocal = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
	const multicast = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
	var rules []rule
	for ip, detail := range map[string]string{
		"foo": badIP, "0.0.0.0": "may not be unspecified (0.0.0.0)", "::": "may not be unspecified (::)",
		"127.0.0.1": loopback, "::1": loopback, "169.254.0.1": linkLocal, "fe80::1": linkLocal,
		"224.0.0.1": multicast, "ff02::1": multicast,
		"192.0.02.1": "must not have leading 0s", "::ffff:192.0.2.1": "must not be an IPv4-mapped IPv6 address",
	} {
		rules = append(rules, breaks(""+ip, causes(iv(first, detail)), externalIPs(ip)))
	}
	rules = append(rules, fine("other multicast", externalIPs("239.1.1.1")))
	runOnCreate(t, rules)
}

func TestServiceUpdateIPs(t *testing.T) {
	const once = "may not change once set"
	const releaseIP = "must be set to 'SingleStack' when releasing the secondary clusterIP"
	const releaseFamily = "must be set to 'SingleStack' when releasing the secondary ipFamily"
	headless := ips("None")
	unsettled := spec(func(s *corev1.ServiceSpec) { s.IPFamilies, s.IPFamilyPolicy = nil, nil })
	mapped := []tweak{unsettled, ips("::ffff:10.0.0.1")}
	legacy := []tweak{unsettled, ips("010.000.000.001")}
	for name, tc := range map[string]struct {
		before, after []tweak
		want          []cause
	}{
		"no change":           {nil, nil, nil},
		"name is not checked": {[]tweak{named("A.b")}, []tweak{named("A.b")}, nil},
		"changed":             {nil, []tweak{ips("10.0.0.2")}, causes(iv("spec.clusterIPs[0]", once))},
		"to None":             {nil, []tweak{headless}, causes(iv("spec.clusterIPs[0]", once))},
		"from None":           {[]tweak{headless}, nil, causes(iv("spec.clusterIPs[0]", once))},
		"second changed": {
			[]tweak{dualStack}, []tweak{dualStack, ips("10.0.0.1", "fd00::2")}, causes(iv("spec.clusterIPs[1]", once)),
		},
		"given one":         {[]tweak{ips()}, nil, nil},
		"unset":             {nil, []tweak{ips()}, causes(iv("spec.clusterIPs[0]", "primary clusterIP can not be unset"))},
		"to ExternalName":   {nil, []tweak{externalName}, nil},
		"from ExternalName": {[]tweak{externalName}, nil, nil},
		"headless to NodePort": {
			[]tweak{headless}, []tweak{headless, nodePort}, causes(iv("spec.clusterIPs[0]", "may not be set to 'None' for NodePort services")),
		},
		"upgrade":                {nil, []tweak{dualStack}, nil},
		"upgrade, first changed": {nil, []tweak{dualStack, ips("10.0.0.2", "fd00::1")}, causes(iv("spec.clusterIPs[0]", once))},
		"downgrade":              {[]tweak{dualStack}, nil, nil},
		"downgrade, not asked": {[]tweak{dualStack}, []tweak{policy("PreferDualStack")},
			causes(iv("spec.ipFamilyPolicy", releaseIP), iv("spec.ipFamilyPolicy", releaseFamily))},
		"families swapped": {[]tweak{dualStack}, []tweak{dualStack, families(ip6, ip4)},
			causes(iv("spec.ipFamilies[0]", once), iv("spec.ipFamilies[0]", once),
				iv("spec.clusterIPs[0]", "expected an IPv6 value as indicated by `ipFamilies[0]`"),
				iv("spec.clusterIPs[1]", "expected an IPv4 value as indicated by `ipFamilies[1]`"))},
		"headless":             {[]tweak{headless}, []tweak{headless, families(ip6)}, nil},
		"stored leading zeros": {legacy, legacy, nil},
		"stored mapped":        {mapped, mapped, nil},
		"stored":               {[]tweak{externalIPs("192.0.02.1")}, []tweak{externalIPs("192.0.02.1")}, nil},
		"stored, elsewhere":    {[]tweak{externalIPs("192.0.02.1")}, []tweak{externalIPs("192.0.2.9", "192.0.02.1")}, nil},
		"new": {[]tweak{externalIPs("192.0.02.1")}, []tweak{externalIPs("192.0.02.1", "192.0.02.2")},
			causes(iv("spec.externalIPs[1]", "must not have leading 0s"))},
		"families unset with addresses": {nil, []tweak{ips(), families()},
			causes(iv("spec.clusterIPs[0]", "primary clusterIP can not be unset"), iv("spec.ipFamilies[0]", "primary ipFamily can not be unset"))},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := newService(tc.before...), newService(tc.after...)
			expect(t, validation.ValidateServiceUpdate(after, before), tc.want...)
		})
	}
}

func TestServiceUpdateMetadata(t *testing.T) {
	before, after := newService(), newService()
	before.UID, after.UID = "a", "b"
	expect(t, validation.ValidateServiceUpdate(after, before), iv("metadata.uid", "field is immutable"))
	expect(t, validation.ValidateServiceStatusUpdate(after, before), iv("metadata.uid", "field is immutable"))
}

func TestServiceLoadBalancer(t *testing.T) {
	const onlyLB = "may only be used when `type` is 'LoadBalancer'"
	const key = corev1.AnnotationLoadBalancerSourceRangesKey
	const annotated = "metadata.annotations[" + key + "]"
	const first, all = "spec.LoadBalancerSourceRanges[0]", "spec.LoadBalancerSourceRanges"
	runOnCreate(t, []rule{
		breaks("allocation for another type", causes(fb("spec.allocateLoadBalancerNodePorts", onlyLB)),
			spec(func(s *corev1.ServiceSpec) { s.AllocateLoadBalancerNodePorts = ptr.To(true) })),
		breaks("class for another type", causes(fb("spec.loadBalancerClass", onlyLB)), class("c/x")),
		breaks("bad", causes(iv("spec.loadBalancerClass", qname)), loadBalancer, class("a b")),
		breaks("for another type", causes(fb(all, onlyLB)), ranges("10.0.0.0/8")),
		fine("space", loadBalancer, ranges(" 10.0.0.0/8 ")),
		breaks("not a CIDR", causes(iv(first, badCIDR)), loadBalancer, ranges("foo")),
		breaks("host bits", causes(iv(first, "must not have bits set beyond the prefix length")), loadBalancer, ranges("10.0.0.1/8")),
		breaks("leading zeros", causes(iv(first, "must not have leading 0s in IP or prefix length")), loadBalancer, ranges("010.0.0.0/8")),
		breaks("mapped", causes(iv(first, "must not have an IPv4-mapped IPv6 address")), loadBalancer, ranges("::ffff:10.0.0.0/104")),
		fine("by annotation", loadBalancer, annotation(key, " 10.0.0.0/8, 192.0.2.0/24 ")),
		fine("empty", loadBalancer, annotation(key, " ")),
		breaks("other type", causes(fb(annotated, onlyLB)), annotation(key, "10.0.0.0/8")),
		breaks("bad", causes(iv(annotated, badCIDR)), loadBalancer, annotation(key, "10.0.0.0/8,foo")),
		fine("field wins", loadBalancer, annotation(key, "foo"), ranges("10.0.0.0/8")),
		fine("loadBalancerIP", loadBalancer, loadBalancerIP("192.0.2.1")),
		fine("loadBalancerIP of another type", loadBalancerIP("2001:DB8::1")),
		breaks("loadBalancerIP that is none", causes(iv("spec.loadBalancerIP", badIP)), loadBalancer, loadBalancerIP("garbage")),
		breaks("loadBalancerIP with leading zeros", causes(iv("spec.loadBalancerIP", "must not have leading 0s")), loadBalancer,
			loadBalancerIP("192.0.02.1")),
	})
	t.Run("without defaults", func(t *testing.T) {
		s := newService(loadBalancer)
		s.Spec.AllocateLoadBalancerNodePorts = nil
		expect(t, validation.ValidateServiceCreate(s), rq("allocateLoadBalancerNodePorts"))
	})
	changed := causes(iv("spec.loadBalancerClass", "may not change once set"))
	for name, tc := range map[string]struct {
		before, after []tweak
		want          []cause
	}{
		"change":            {[]tweak{loadBalancer, class("c/x")}, []tweak{loadBalancer, class("c/y")}, changed},
		"unset":             {[]tweak{loadBalancer, class("c/x")}, []tweak{loadBalancer}, changed},
		"set later":         {[]tweak{loadBalancer}, []tweak{loadBalancer, class("c/x")}, changed},
		"set with the type": {nil, []tweak{loadBalancer, class("c/x")}, nil},
		"stored":            {[]tweak{loadBalancer, ranges("010.0.0.0/8 ")}, []tweak{loadBalancer, ranges(" 010.0.0.0/8")}, nil},
		"stored annotation": {
			[]tweak{loadBalancer, annotation(key, "010.0.0.0/8")}, []tweak{loadBalancer, annotation(key, "010.0.0.0/8")}, nil,
		},
		"changed": {[]tweak{loadBalancer, annotation(key, "010.0.0.0/8")},
			[]tweak{loadBalancer, annotation(key, "010.0.0.0/8,10.0.0.0/8")},
			causes(iv(annotated, "must not have leading 0s in IP or prefix length"))},
		"changed health check port": {[]tweak{loadBalancer, local, healthCheck(30100)}, []tweak{loadBalancer, local, healthCheck(30101)},
			causes(fb("spec.healthCheckNodePort", "field is immutable"))},
		"a port takes the health check's": {[]tweak{loadBalancer, local, healthCheck(30100)},
			[]tweak{loadBalancer, local, healthCheck(30100), ports(port("", 80, "", 30100))},
			causes(iv("spec.ports[0].nodePort", "provided port is already allocated"))},
		"no longer needed":   {[]tweak{loadBalancer, local, healthCheck(30100)}, []tweak{loadBalancer}, nil},
		"needed from now on": {[]tweak{loadBalancer}, []tweak{loadBalancer, local, healthCheck(30101)}, nil},
		"loadBalancerIP stored": {
			[]tweak{loadBalancer, loadBalancerIP("a b")}, []tweak{loadBalancer, loadBalancerIP("a b"), externalIPs("192.0.2.1")}, nil,
		},
		"loadBalancerIP removed": {[]tweak{loadBalancer, loadBalancerIP("a b")}, []tweak{loadBalancer}, nil},
		"loadBalancerIP changed": {
			[]tweak{loadBalancer, loadBalancerIP("a b")}, []tweak{loadBalancer, loadBalancerIP("a c")}, causes(iv("spec.loadBalancerIP", badIP)),
		},
		"left over is refused": {[]tweak{loadBalancer},
			[]tweak{spec(func(s *corev1.ServiceSpec) { s.AllocateLoadBalancerNodePorts = ptr.To(false) })},
			causes(fb("spec.allocateLoadBalancerNodePorts", onlyLB))},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, validation.ValidateServiceUpdate(newService(tc.after...), newService(tc.before...)), tc.want...)
		})
	}
}

func loadBalancerIP(ip string) tweak {
	return spec(func(s *corev1.ServiceSpec) { s.LoadBalancerIP = ip })
}

var (
	goodCondition = metav1.Condition{Type: "example.com/Ready", Status: metav1.ConditionTrue, Reason: "Fine", LastTransitionTime: metav1.Now()}
	badCondition  = metav1.Condition{Type: "a b", Status: "Foo"}
)

const badReason = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')"

func conditions(conditions ...metav1.Condition) tweak {
	return func(s *v1.Service) { s.Status.Conditions = conditions }
}

func TestServiceStatus(t *testing.T) {
	const path = "status.loadBalancer.ingress[0]"
	status := func(ingress ...corev1.LoadBalancerIngress) tweak {
		return func(s *v1.Service) { s.Status.LoadBalancer.Ingress = ingress }
	}
	type in = corev1.LoadBalancerIngress
	for name, tc := range map[string]struct {
		before, after []tweak
		want          []cause
	}{
		"ingress of another type": {nil, []tweak{status(in{IP: "192.0.2.1"})},
			causes(fb("status.loadBalancer.ingress", "may only be used when `spec.type` is 'LoadBalancer'"))},
		"valid":          {nil, []tweak{loadBalancer, status(in{IP: "192.0.2.1"}, in{Hostname: "a.example"})}, nil},
		"not an address": {nil, []tweak{loadBalancer, status(in{IP: "foo"})}, causes(iv(path+".ip", badIP))},
		"leading zero":   {nil, []tweak{loadBalancer, status(in{IP: "192.0.02.1"})}, causes(iv(path+".ip", "must not have leading 0s"))},
		"stored": {
			[]tweak{loadBalancer, status(in{IP: "192.0.02.1"})}, []tweak{loadBalancer, status(in{IP: "192.0.02.1"})}, nil,
		},
		"not a hostname": {nil, []tweak{loadBalancer, status(in{Hostname: "A"})}, causes(iv(path+".hostname", subdomain))},
		"address": {
			nil, []tweak{loadBalancer, status(in{Hostname: "192.0.2.1"})}, causes(iv(path+".hostname", "must be a DNS name, not an IP address")),
		},
		"without ip": {nil, []tweak{loadBalancer, status(in{Hostname: "a", IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)})},
			causes(fb(path+".ipMode", "may not be specified when `ip` is not set"))},
		"bad": {nil, []tweak{loadBalancer, status(in{IP: "192.0.2.1", IPMode: ptr.To(corev1.LoadBalancerIPMode("Foo"))})},
			causes(ns(path+".ipMode", `"Proxy", "VIP"`))},
		"ports": {nil,
			[]tweak{loadBalancer, status(in{Hostname: "a",
				Ports: []corev1.PortStatus{{Port: 80, Protocol: "TCP"}, {Port: 80, Protocol: "UDP", Error: ptr.To("example.com/Oh")}}})}, nil},
		"bad ports": {nil, []tweak{loadBalancer,
			status(in{Hostname: "a", Ports: []corev1.PortStatus{{Port: 70000, Protocol: "TCP"}, {Port: 0},
				{Port: 1, Protocol: "tcp", Error: ptr.To("a b")}}})},
			causes(iv(path+".ports[0].port", badPort), iv(path+".ports[1].port", badPort), rq(path+".ports[1].protocol"),
				ns(path+".ports[2].protocol", `"SCTP", "TCP", "UDP"`), iv(path+".ports[2].error", qname))},
		"bad ports stored": {[]tweak{loadBalancer, status(in{Hostname: "a", Ports: []corev1.PortStatus{{Port: 70000, Error: ptr.To("")}}})},
			[]tweak{loadBalancer, status(in{Hostname: "b", Ports: []corev1.PortStatus{{Port: 70000, Error: ptr.To("")}}})}, nil},
		"bad ports changed": {[]tweak{loadBalancer, status(in{Hostname: "a", Ports: []corev1.PortStatus{{Port: 70000, Protocol: "TCP"}}})},
			[]tweak{loadBalancer, status(in{Hostname: "a", Ports: []corev1.PortStatus{{Port: 70001, Protocol: "TCP"}}})},
			causes(iv(path+".ports[0].port", badPort))},
		"conditions": {nil, []tweak{conditions(goodCondition)}, nil},
		"condition without a time": {
			nil, []tweak{conditions(metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Fine"})}, nil,
		},
		"bad condition": {nil, []tweak{conditions(goodCondition,
			metav1.Condition{Type: "a b", Status: "Foo", Reason: "-", ObservedGeneration: -1})},
			causes(iv("status.conditions[1].type", qname), ns("status.conditions[1].status", `"False", "True", "Unknown"`),
				iv("status.conditions[1].observedGeneration", "must be greater than or equal to zero"), iv("status.conditions[1].reason", badReason))},
		"bad condition stored": {[]tweak{conditions(badCondition)}, []tweak{conditions(goodCondition, badCondition)}, nil},
		"bad conditions of one type": {
			[]tweak{conditions(badCondition, badCondition)}, []tweak{conditions(badCondition, goodCondition, badCondition)}, nil,
		},
		"condition there twice": {nil, []tweak{conditions(goodCondition, goodCondition)}, causes(dp("status.conditions[1]"))},
		"stored condition comes again": {
			[]tweak{conditions(goodCondition)}, []tweak{conditions(goodCondition, goodCondition)}, causes(dp("status.conditions[1]")),
		},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, validation.ValidateServiceStatusUpdate(newService(tc.after...), newService(tc.before...)), tc.want...)
		})
	}
	t.Run("without defaults", func(t *testing.T) {
		s := newService(loadBalancer)
		s.Status.LoadBalancer.Ingress = []in{{IP: "192.0.2.1"}}
		expect(t, validation.ValidateServiceStatusUpdate(s, newService(loadBalancer)),
			cause{"Required", path + ".ipMode", "must be specified when `ip` is set"})
	})
}
