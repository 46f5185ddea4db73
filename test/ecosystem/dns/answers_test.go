//go:build e2e

package dns

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
)

type expectation struct {
	name, kind string
	want       []string
}

// expected are the names that Services have, and records of each, as Kubernetes'
// DNS specification has it.
var expected = []expectation{
	{"kubernetes.default.svc." + domain, "A", []string{"kubernetes.default.svc.cluster.local A 10.96.0.1"}},
	{"web." + zone, "A", []string{"web.shop.svc.cluster.local A 10.96.0.20"}},
	{"web." + zone, "AAAA", []string{"web.shop.svc.cluster.local AAAA fd00:10:96::20"}},
	{"_http._tcp.web." + zone, "SRV", []string{"_http._tcp.web.shop.svc.cluster.local SRV 0 50 80 web.shop.svc.cluster.local"}},
	{"_query._udp.web." + zone, "SRV", []string{"_query._udp.web.shop.svc.cluster.local SRV 0 50 53 web.shop.svc.cluster.local"}},
	{"_query._tcp.web." + zone, "SRV", nil},
	{"six." + zone, "A", nil},
	{"six." + zone, "AAAA", []string{"six.shop.svc.cluster.local AAAA fd00:10:96::22"}},
	{"outside." + zone, "CNAME", []string{"outside.shop.svc.cluster.local CNAME someapi.somecompany.com"}},
	{"outside." + zone, "A", []string{"outside.shop.svc.cluster.local CNAME someapi.somecompany.com",
		"someapi.somecompany.com A " + elsewhere}},
	{"alias." + zone, "A", []string{"alias.shop.svc.cluster.local CNAME web.shop.svc.cluster.local",
		"web.shop.svc.cluster.local A 10.96.0.20"}},
	{"db." + zone, "A", []string{"db.shop.svc.cluster.local A 192.0.2.20", "db.shop.svc.cluster.local A 192.0.2.21"}},
	{"db." + zone, "AAAA", []string{"db.shop.svc.cluster.local AAAA 2001:db8::20", "db.shop.svc.cluster.local AAAA 2001:db8::21"}},
	{"db-0.db." + zone, "A", []string{"db-0.db.shop.svc.cluster.local A 192.0.2.20"}},
	{"db-0.db." + zone, "AAAA", []string{"db-0.db.shop.svc.cluster.local AAAA 2001:db8::20"}},
	{"db-2.db." + zone, "A", nil},
	{"_postgres._tcp.db." + zone, "SRV", []string{
		"_postgres._tcp.db.shop.svc.cluster.local SRV 0 25 5432 db-0.db.shop.svc.cluster.local",
		"_postgres._tcp.db.shop.svc.cluster.local SRV 0 25 5432 db-1.db.shop.svc.cluster.local",
	}},
	{"early." + zone, "A", []string{
		"early.shop.svc.cluster.local A 192.0.2.20", "early.shop.svc.cluster.local A 192.0.2.21", "early.shop.svc.cluster.local A 192.0.2.22",
	}},
	{"first.manual." + zone, "A", []string{"first.manual.shop.svc.cluster.local A 198.51.100.1"}},
	{"manual." + zone, "A", []string{"manual.shop.svc.cluster.local A 198.51.100.1", "manual.shop.svc.cluster.local A 198.51.100.3"}},
	{"ninth.mirrored." + zone, "A", []string{"ninth.mirrored.shop.svc.cluster.local A 198.51.100.9"}},
	{"192-0-2-10.shop.pod." + domain, "A", []string{"192-0-2-10.shop.pod.cluster.local A 192.0.2.10"}},
	{"192-0-2-30.shop.pod." + domain, "A", nil},
	{reverse("10.96.0.20"), "PTR", []string{reverse("10.96.0.20") + " PTR web.shop.svc.cluster.local"}},
	{reverse("fd00:10:96::20"), "PTR", []string{reverse("fd00:10:96::20") + " PTR web.shop.svc.cluster.local"}},
	{reverse("192.0.2.20"), "PTR", []string{
		reverse("192.0.2.20") + " PTR db-0.db.shop.svc.cluster.local",
		reverse("192.0.2.20") + " PTR 192-0-2-20.early.shop.svc.cluster.local",
	}},
	{reverse("198.51.100.1"), "PTR", []string{reverse("198.51.100.1") + " PTR first.manual.shop.svc.cluster.local"}},
	{reverse("203.0.113.7"), "PTR", nil},
	{"somewhere.example.com", "A", []string{"somewhere.example.com A " + elsewhere}},
}

// changed are records after what TestSameAsUpstream changes.
var changed = []expectation{
	{"db." + zone, "A", []string{"db.shop.svc.cluster.local A 192.0.2.20", "db.shop.svc.cluster.local A 192.0.2.22"}},
	{"db-1.db." + zone, "A", nil},
	{"_https._tcp.web." + zone, "SRV", []string{"_https._tcp.web.shop.svc.cluster.local SRV 0 50 443 web.shop.svc.cluster.local"}},
	{"_http._tcp.web." + zone, "SRV", nil},
	{"six." + zone, "A", []string{"six.shop.svc.cluster.local A 10.96.0.22"}},
	{"outside." + zone, "CNAME", []string{"outside.shop.svc.cluster.local CNAME elsewhere.example.com"}},
	{"alias." + zone, "A", []string{"alias.shop.svc.cluster.local A 10.96.0.25"}},
	{"plain." + zone, "A", nil},
	{reverse("10.96.0.21"), "PTR", nil},
	{"ninth.mirrored." + zone, "A", nil},
	{"fresh.late.svc." + domain, "A", []string{"fresh.late.svc.cluster.local A 10.96.0.26"}},
}

// questions are all types of all names that there are or might be.
func questions() []question {
	names := []string{
		domain, "svc." + domain, zone, "empty.svc." + domain, "none.svc." + domain, "late.svc." + domain, "fresh.late.svc." + domain,
		"default.svc." + domain, "kube-system.svc." + domain, "kube-public.svc." + domain, "kube-node-lease.svc." + domain,
		"kubernetes.default.svc." + domain, "_https._tcp.kubernetes.default.svc." + domain, "dns-version." + domain,
		"shop.pod." + domain, "192-0-2-10.shop.pod." + domain, "192-0-2-10.default.pod." + domain, "192-0-2-30.shop.pod." + domain,
		"2001-db8--10.shop.pod." + domain,
	}
	for _, service := range []string{"web", "plain", "six", "balanced", "mirrored", "db", "early", "manual", "nobody", "outside", "alias",
		"none"} {
		names = append(names, service+"."+zone)
	}
	for _, within := range []string{
		"_http._tcp.web", "_https._tcp.web", "_query._udp.web", "_query._tcp.web", "_tcp.web", "_http._tcp.six", "_http._tcp.balanced",
		"_postgres._tcp.db", "_postgres._udp.db", "_http._tcp.manual", "_http._tcp.mirrored", "_http._tcp.nobody", "_http._tcp.outside",
		"db-0.db", "db-1.db", "db-2.db", "db-3.db", "192-0-2-20.db", "192-0-2-20.early", "db-0.early", "192-0-2-10.web", "2001-db8--10.web",
		"first.manual", "second.manual", "198-51-100-3.manual", "ninth.mirrored", "any.outside", "any.alias",
	} {
		names = append(names, within+"."+zone)
	}
	for _, address := range []string{
		"10.96.0.1", "10.96.0.20", "10.96.0.21", "10.96.0.23", "10.96.0.99", "fd00:10:96::20", "fd00:10:96::22", "fd00:10:96::99", "203.0.113.7",
		"192.0.2.10", "192.0.2.20", "192.0.2.21", "192.0.2.22", "192.0.2.30", "2001:db8::10", "2001:db8::20", "2001:db8::21", "2001:db8::22",
		"198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.9",
	} {
		names = append(names, reverse(address))
	}
	var all []question
	for _, name := range names {
		for kind := range kinds {
			all = append(all, question{name, kind})
		}
	}
	return all
}

// TestSameAsUpstream gives the same objects to Portolan and to a kube-apiserver.
func TestSameAsUpstream(t *testing.T) {
	t.Parallel()
	portolan, kube := startPortolan(t), startKube(t)
	setups := []*setup{portolan, portolan.withProtobuf(t), kube}
	w := writer{t, []kubernetes.Interface{portolan.client, kube.client}}
	w.createObjects()
	for _, s := range setups {
		for _, e := range expected {
			s.expect(t, question{e.name, e.kind}, e.want...)
		}
	}
	compare(t, "as made", setups, questions())

	w.setReady("db-1", corev1.ConditionFalse)
	w.setReady("db-2", corev1.ConditionTrue)
	w.patchService("web", `{"spec":{"ports":[{"name":"https","port":443},{"name":"query","port":5353,"protocol":"UDP"}]}}`)
	w.patchService("six", `{"spec":{"ipFamilyPolicy":"RequireDualStack","clusterIPs":["fd00:10:96::22","10.96.0.22"],"ipFamilies":["IPv6","IPv4"]}}`)
	w.patchService("outside", `{"spec":{"externalName":"elsewhere.example.com"}}`)
	w.patchService("alias", `{"spec":{"type":"ClusterIP","externalName":null,"clusterIP":"10.96.0.25","ports":[{"name":"http","port":80}]}}`)
	w.deleteService("plain")
	w.deleteService("mirrored")
	w.deleteNamespace("empty")
	w.createNamespace("late")
	w.createService("late", "fresh", corev1.ServiceSpec{ClusterIP: "10.96.0.26", Ports: []corev1.ServicePort{{Port: 80}}})
	for _, s := range setups {
		for _, e := range changed {
			s.expect(t, question{e.name, e.kind}, e.want...)
		}
	}
	compare(t, "as changed", setups, questions())
}
