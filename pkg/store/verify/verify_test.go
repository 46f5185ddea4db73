package verify

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// sound returns a store without violations: a dual-stack load balancer with a
// health check port, a headless Service, an ExternalName, and a reservation of each
// kind.
func sound() Contents {
	web := newService("web", "10.96.0.5", "fd00::5")
	web.Spec.Type = corev1.ServiceTypeLoadBalancer
	web.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	web.Spec.HealthCheckNodePort = 30090
	web.Spec.Ports = []corev1.ServicePort{
		{Port: 80, NodePort: 30080, Protocol: corev1.ProtocolUDP},
		{Port: 80, NodePort: 30080, Protocol: corev1.ProtocolTCP},
	}
	external := newService("external")
	external.Spec.Type = corev1.ServiceTypeExternalName
	return Contents{
		Revision: 7,
		Services: []v1.Service{web, newService("headless", corev1.ClusterIPNone), external},
		IPAddresses: []v1.IPAddress{
			newAddress("10.96.0.5", heldBy("web")), newAddress("fd00::5", heldBy("web")), newAddress("192.0.2.1", heldBy("")),
		},
		NodePorts: []v1.NodePort{
			newPort("30080", heldBy("web"), corev1.ProtocolTCP, corev1.ProtocolUDP), newPort("30090", heldBy("web")), newPort("22", heldBy("")),
		},
		ServiceCIDRs: []v1.ServiceCIDR{{
			ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: v1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16", "fd00::/112"}},
		}},
		NodePortRanges: []v1.NodePortRange{{
			ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: v1.NodePortRangeSpec{Ports: []string{"443", "30000-32767"}},
		}},
	}
}

func newService(name string, ips ...string) v1.Service {
	svc := v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)}}
	svc.Spec.Type = corev1.ServiceTypeClusterIP
	if len(ips) > 0 {
		svc.Spec.ClusterIP, svc.Spec.ClusterIPs = ips[0], ips
	}
	return svc
}

// heldBy returns a reference to the Service with a name, or that of a reservation if
// the name is empty.
func heldBy(name string) *v1.ParentReference {
	if name == "" {
		return &v1.ParentReference{Resource: "routers", Name: "edge"}
	}
	return &v1.ParentReference{Group: v1.GroupName, Resource: "services", Namespace: "default", Name: name, UID: types.UID("uid-" + name)}
}

func newAddress(name string, parent *v1.ParentReference) v1.IPAddress {
	return v1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.IPAddressSpec{ParentRef: parent}}
}

func newPort(name string, parent *v1.ParentReference, protocols ...corev1.Protocol) v1.NodePort {
	return v1.NodePort{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.NodePortSpec{ParentRef: parent, Protocols: protocols}}
}

func TestCheckCounts(t *testing.T) {
	got := Check(sound())
	want := Report{
		Revision: 7, Services: 3, IPAddresses: 3, NodePorts: 3, ServiceCIDRs: 1, NodePortRanges: 1,
		AddressesHeld: 2, PortsHeld: 2, ReservedAddresses: 1, ReservedPorts: 1,
		Violations: []string{}, Warnings: []string{},
	}
	if got.String() != want.String() || got.Err() != nil {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got.Violations == nil || got.Warnings == nil {
		t.Error("nil lists would be null in JSON")
	}
}

type checkTest struct {
	name       string
	change     func(*Contents)
	violations []string
	warnings   []string
}

func (test checkTest) run(t *testing.T) {
	contents := sound()
	test.change(&contents)
	report := Check(contents)
	if !slices.Equal(report.Violations, test.violations) {
		t.Errorf("violations:\n  %s\nwant:\n  %s", strings.Join(report.Violations, "\n  "), strings.Join(test.violations, "\n  "))
	}
	if !slices.Equal(report.Warnings, test.warnings) {
		t.Errorf("warnings:\n  %s\nwant:\n  %s", strings.Join(report.Warnings, "\n  "), strings.Join(test.warnings, "\n  "))
	}
	if failed := report.Err() != nil; failed != (len(test.violations) > 0) {
		t.Errorf("error: %v", report.Err())
	}
}

func TestCheckServices(t *testing.T) {
	for _, test := range []checkTest{
		{name: "address not claimed", change: func(c *Contents) { c.IPAddresses = c.IPAddresses[1:] }, violations: []string{
			"services/default/web holds 10.96.0.5, but ipaddresses/10.96.0.5 does not exist",
		}},
		{name: "port not claimed", change: func(c *Contents) { c.NodePorts = c.NodePorts[1:] }, violations: []string{
			"services/default/web holds node port 30080, but nodeports/30080 does not exist",
		}},
		{name: "health check port not claimed", change: func(c *Contents) { c.NodePorts = slices.Delete(c.NodePorts, 1, 2) },
			violations: []string{
				"services/default/web holds node port 30090, but nodeports/30090 does not exist",
			}},
		{name: "claimed for another", change: func(c *Contents) { c.IPAddresses[0].Spec.ParentRef = heldBy("headless") }, violations: []string{
			"ipaddresses/10.96.0.5 is held by services/default/headless (uid uid-headless), which does not hold it",
			"services/default/web holds 10.96.0.5, but ipaddresses/10.96.0.5 is held by services/default/headless (uid uid-headless)",
		}},
		{name: "claimed for an earlier one of the same name", change: func(c *Contents) { c.IPAddresses[0].Spec.ParentRef.UID = "old" },
			violations: []string{
				"ipaddresses/10.96.0.5 is held by services/default/web (uid old), which does not exist: the uid of services/default/web is uid-web",
				"services/default/web holds 10.96.0.5, but ipaddresses/10.96.0.5 is held by services/default/web (uid old)",
			}},
		{name: "claim names another with the same uid", change: func(c *Contents) { c.IPAddresses[0].Spec.ParentRef.Name = "renamed" },
			violations: []string{
				"ipaddresses/10.96.0.5 is held by services/default/renamed (uid uid-web), which does not exist",
				"services/default/web holds 10.96.0.5, but ipaddresses/10.96.0.5 is held by services/default/renamed (uid uid-web)",
			}},
		{name: "held value is reserved", change: func(c *Contents) { c.IPAddresses[0].Spec.ParentRef.UID = "" }, violations: []string{
			"services/default/web holds 10.96.0.5, but ipaddresses/10.96.0.5 is a reservation, held by no Service",
		}},
		{name: "held twice", change: func(c *Contents) { c.Services = append(c.Services, newService("other", "10.96.0.5")) },
			violations: []string{
				"10.96.0.5 is held by both services/default/other and services/default/web",
				"services/default/other holds 10.96.0.5, but ipaddresses/10.96.0.5 is held by services/default/web (uid uid-web)",
			}},
		{name: "held three times, unclaimed, in two spellings", change: func(c *Contents) {
			c.IPAddresses = slices.Delete(c.IPAddresses, 1, 2)
			c.Services = append(c.Services, newService("a", "fd00:0::5"), newService("b", "FD00::5"))
		}, violations: []string{
			"fd00::5 is held by services/default/a, services/default/b and services/default/web",
			"services/default/a holds fd00::5, but ipaddresses/fd00::5 does not exist",
			"services/default/b holds fd00::5, but ipaddresses/fd00::5 does not exist",
			"services/default/web holds fd00::5, but ipaddresses/fd00::5 does not exist",
		}},
		{name: "no uid", change: func(c *Contents) { c.Services[1].UID = "" }, violations: []string{
			"services/default/headless has no uid, so no claim can belong to it",
		}},
		{name: "same uid", change: func(c *Contents) { c.Services[1].UID = "uid-web" }, violations: []string{
			"services/default/headless and services/default/web have the same uid uid-web",
		}},
		{name: "no address", change: func(c *Contents) { c.Services = append(c.Services, newService("bare")) }, warnings: []string{
			"services/default/bare needs a cluster IP and has none",
		}},
		{name: "terminating", change: func(c *Contents) { c.Services[0].DeletionTimestamp = &metav1.Time{}; c.IPAddresses = c.IPAddresses[1:] },
			violations: []string{
				"services/default/web holds 10.96.0.5, but ipaddresses/10.96.0.5 does not exist",
			}},
	} {
		t.Run(test.name, test.run)
	}
}

func TestCheckClaims(t *testing.T) {
	gone := &v1.ParentReference{Group: v1.GroupName, Resource: "services", Namespace: "default", Name: "gone", UID: "g"}
	for _, test := range []checkTest{
		{name: "holder is gone", change: func(c *Contents) { c.NodePorts[2].Spec.ParentRef = gone }, violations: []string{
			"nodeports/22 is held by services/default/gone (uid g), which does not exist",
		}},
		{name: "holder lacks it", change: func(c *Contents) { c.IPAddresses[2].Spec.ParentRef = heldBy("web") }, violations: []string{
			"ipaddresses/192.0.2.1 is held by services/default/web (uid uid-web), which does not hold it",
		}},
		{name: "holder is no Service", change: func(c *Contents) {
			c.IPAddresses[2].Spec.ParentRef = &v1.ParentReference{Group: "example.com", Resource: "services", Name: "x", UID: "g"}
		}, violations: []string{
			"ipaddresses/192.0.2.1 is held by services.example.com/x (uid g), which is not a Service",
		}},
		{name: "holder of the core group", change: func(c *Contents) { c.IPAddresses[0].Spec.ParentRef.Group = "" }},
		{name: "no parent at all", change: func(c *Contents) { c.IPAddresses[2].Spec.ParentRef = nil }},
		{name: "protocols in another order", change: func(c *Contents) { slices.Reverse(c.NodePorts[0].Spec.Protocols) }},
		{name: "protocols differ", change: func(c *Contents) {
			c.NodePorts[0].Spec.Protocols = []corev1.Protocol{corev1.ProtocolSCTP}
			c.NodePorts[1].Spec.Protocols = []corev1.Protocol{corev1.ProtocolTCP}
		}, violations: []string{
			"nodeports/30080 is claimed for SCTP, but services/default/web serves TCP, UDP there",
			"nodeports/30090 is claimed for TCP, but services/default/web serves no protocol there",
		}},
		{name: "names that are not canonical", change: func(c *Contents) {
			c.IPAddresses = append(c.IPAddresses, newAddress("FD00::5", gone), newAddress("::ffff:10.96.0.5", nil), newAddress("010.96.0.005", nil),
				newAddress("web", nil))
			c.NodePorts = append(c.NodePorts, newPort("030080", gone), newPort("65536", nil), newPort("http", nil))
		}, violations: []string{
			"ipaddresses/010.96.0.005 is not the canonical name of the claim on 10.96.0.5",
			"ipaddresses/::ffff:10.96.0.5 is not the canonical name of the claim on 10.96.0.5",
			"ipaddresses/FD00::5 is not the canonical name of the claim on fd00::5",
			"ipaddresses/web is a claim, but its name is not an address",
			"nodeports/030080 is not the canonical name of the claim on 30080",
			"nodeports/65536 is a claim, but its name is not a port",
			"nodeports/http is a claim, but its name is not a port",
		}},
	} {
		t.Run(test.name, test.run)
	}
}

func TestCheckRanges(t *testing.T) {
	for _, test := range []checkTest{
		{name: "no ranges", change: func(c *Contents) { c.ServiceCIDRs, c.NodePortRanges = nil, nil }, warnings: []string{
			"services/default/web holds 10.96.0.5, which lies in no ServiceCIDR",
			"services/default/web holds fd00::5, which lies in no ServiceCIDR",
			"services/default/web holds node port 30080, which lies in no NodePortRange",
			"services/default/web holds node port 30090, which lies in no NodePortRange",
		}},
		{name: "malformed ranges", change: func(c *Contents) {
			c.ServiceCIDRs[0].Spec.CIDRs[1] = "fd00::5"
			c.NodePortRanges[0].Spec.Ports = []string{"30080-", "30090"}
		}, warnings: []string{
			`nodeportranges/kubernetes: nothing can be allocated from "30080-": must be a port, such as "443", or a range of ports, such as "30000-32767"`,
			`servicecidrs/kubernetes: nothing can be allocated from "fd00::5", which is not a CIDR`,
			"services/default/web holds fd00::5, which lies in no ServiceCIDR",
			"services/default/web holds node port 30080, which lies in no NodePortRange",
		}},
		{name: "ranges that can't be read", change: func(c *Contents) {
			c.ServiceCIDRs, c.NodePortRanges = nil, nil
			c.Unreadable = []Unreadable{
				{Key: "servicecidrs/kubernetes", Reason: "is broken"}, {Key: "nodeportranges/kubernetes", Reason: "is broken"},
			}
		}, violations: []string{"nodeportranges/kubernetes is broken", "servicecidrs/kubernetes is broken"}},
	} {
		t.Run(test.name, test.run)
	}
}

func TestCheckUnreadable(t *testing.T) {
	for _, test := range []checkTest{
		{name: "claim", change: func(c *Contents) {
			c.IPAddresses = c.IPAddresses[1:]
			c.Unreadable = []Unreadable{{Key: "ipaddresses/10.96.0.5", Reason: "can't be decoded: no"}}
		}, violations: []string{"ipaddresses/10.96.0.5 can't be decoded: no"}},
		{name: "holder", change: func(c *Contents) {
			c.Services = c.Services[1:]
			c.Unreadable = []Unreadable{{Key: "services/default/web", Reason: "can't be decoded: no"}}
		}, violations: []string{"services/default/web can't be decoded: no"}},
		{name: "encrypted", change: func(c *Contents) {
			c.IPAddresses = nil
			c.Unreadable = []Unreadable{{Key: "ipaddresses/fd00::5", Encryption: "aesgcm"}, {Key: "ipaddresses/10.96.0.5", Encryption: "aesgcm"}}
		}, violations: []string{
			"ipaddresses: encrypted with aesgcm, so verify can't read them and proves nothing about their claims (2 objects, the first is ipaddresses/10.96.0.5)",
		}},
	} {
		t.Run(test.name, test.run)
	}
}
