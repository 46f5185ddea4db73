//go:build e2e

package dns

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestUpdate changes what Portolan holds, one thing at a time, and says how long
// after that the answers followed.
func TestUpdate(t *testing.T) {
	t.Parallel()
	s := startPortolan(t)
	w := writer{t, []kubernetes.Interface{s.client}}
	w.createObjects()
	a := func(name, data string) string { return name + "." + zone + " A " + data }
	db := question{"db." + zone, "A"}
	s.expect(t, db, a("db", "192.0.2.20"), a("db", "192.0.2.21"))
	if got, err := ask(t.Context(), s.address, db); err != nil || strings.Count(got.all, ", for 1 s") != 2 {
		t.Errorf("answers may be kept for longer than the Corefile says: %v\n%s", err, got.all)
	}
	var slowest time.Duration
	for _, change := range []struct {
		what string
		do   func()
		q    question
		want []string
	}{
		{"a Service is made", func() {
			w.createService(namespace, "fresh", corev1.ServiceSpec{ClusterIP: "10.96.0.30", Ports: []corev1.ServicePort{{Port: 80}}})
		}, question{"fresh." + zone, "A"}, []string{a("fresh", "10.96.0.30")}},
		{"it becomes an ExternalName", func() {
			w.patchService("fresh", `{"spec":{"type":"ExternalName","externalName":"web.`+zone+`","clusterIP":null,"clusterIPs":null}}`)
		}, question{"fresh." + zone, "CNAME"}, []string{"fresh." + zone + " CNAME web." + zone}},
		{"it is deleted", func() { w.deleteService("fresh") }, question{"fresh." + zone, "CNAME"}, nil},
		{"a Pod turns unready", func() { w.setReady("db-1", corev1.ConditionFalse) }, db, []string{a("db", "192.0.2.20")}},
		{"another turns ready", func() { w.setReady("db-2", corev1.ConditionTrue) }, db, []string{a("db", "192.0.2.20"), a("db", "192.0.2.22")}},
		{"a Pod is made", func() {
			w.createPod("db-3", "db", "db", corev1.PodRunning, corev1.ConditionTrue, "192.0.2.23")
		}, question{reverse("192.0.2.23"), "PTR"}, []string{
			reverse("192.0.2.23") + " PTR db-3.db." + zone, reverse("192.0.2.23") + " PTR 192-0-2-23.early." + zone,
		}},
		{"it is deleted", func() { w.deletePod("db-3") }, question{"db-3.db." + zone, "A"}, nil},
		{"a port is renamed", func() {
			w.patchService("web", `{"spec":{"ports":[{"name":"https","port":443}]}}`)
		}, question{"_https._tcp.web." + zone, "SRV"}, []string{"_https._tcp.web." + zone + " SRV 0 50 443 web." + zone}},
		{"a Service loses its IPv6 address", func() {
			w.patchService("web", `{"spec":{"ipFamilyPolicy":"SingleStack","ipFamilies":["IPv4"],"clusterIPs":["10.96.0.20"]}}`)
		}, question{reverse("fd00:10:96::20"), "PTR"}, nil},
		{"a namespace is deleted", func() { w.deleteNamespace(namespace) }, db, nil},
	} {
		change.do()
		took := s.expect(t, change.q, change.want...)
		t.Logf("%s: %v", change.what, took.Round(time.Millisecond))
		slowest = max(slowest, took)
	}
	t.Logf("the slowest took %v", slowest.Round(time.Millisecond))
}

// TestRestart has CoreDNS answer while there is no server, and follow the next one
// on the same data.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := startPortolan(t)
	w := writer{t, []kubernetes.Interface{s.client}}
	w.createNamespace(namespace)
	w.createService(namespace, "lasting", corev1.ServiceSpec{ClusterIP: "10.96.0.40", Ports: []corev1.ServicePort{{Port: 80}}})
	a := func(name, data string) string { return name + "." + zone + " A " + data }
	lasting := question{"lasting." + zone, "A"}
	s.expect(t, lasting, a("lasting", "10.96.0.40"))
	if err := s.server.Stop(); err != nil {
		t.Fatal(err)
	}
	s.expect(t, lasting, a("lasting", "10.96.0.40"))
	w.clients[0] = clientOf(t, framework.StartAll(t, s.server.Again(t)).Config)
	w.deleteService("lasting")
	w.createService(namespace, "later", corev1.ServiceSpec{ClusterIP: "10.96.0.41", Ports: []corev1.ServicePort{{Port: 80}}})
	s.expect(t, lasting)
	s.expect(t, question{"later." + zone, "A"}, a("later", "10.96.0.41"))
}
