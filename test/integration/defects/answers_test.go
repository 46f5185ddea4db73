package defects

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

func TestC2StatusOfNothingCreatesNothing(t *testing.T) {
	w := start(t)
	ghost := newService("ghost", at("10.96.0.5"), onPort(30005))
	ghost.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	n := w.writes(func() {
		_, err := w.services.UpdateStatus(t.Context(), ghost, metav1.UpdateOptions{})
		w.expect("PUT of the status", err, apierrors.IsNotFound, `"ghost" not found`)
		_, err = w.services.Patch(t.Context(), "ghost", types.MergePatchType, []byte(`{"status":{}}`), metav1.PatchOptions{}, "status")
		w.expect("PATCH of the status", err, apierrors.IsNotFound)
		_, err = w.services.Patch(t.Context(), "ghost", types.ApplyPatchType,
			[]byte(`{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"ghost"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}`), metav1.PatchOptions{FieldManager: "m"}, "status")
		w.expect("apply of the status", err, apierrors.IsNotFound)
	})
	if n != 0 {
		t.Errorf("%d writes", n)
	}
}

func TestC5NameThatExistsGoesFirst(t *testing.T) {
	w := start(t, func(o *options.Options) { o.NodePortRanges = []string{"30000-30001"} })
	w.create(newService("web", at("10.96.0.5"), onPort(30000)))
	w.create(newService("rest", onPort(30001)))
	again := map[string]*v1.Service{
		"the same values":    newService("web", at("10.96.0.5"), onPort(30000)),
		"a full range":       newService("web", onPort(0)),
		"out of range":       newService("web", at("10.99.0.5")),
		"a port of no range": newService("web", onPort(99)),
		"another's port":     newService("web", onPort(30001)),
		"a health check":     newService("web", local),
	}
	for what, svc := range again {
		for _, dry := range [][]string{nil, dryRun} {
			_, err := w.services.Create(t.Context(), svc.DeepCopy(), metav1.CreateOptions{DryRun: dry})
			w.expect(fmt.Sprintf("%s (dry run: %t)", what, dry != nil), err, apierrors.IsAlreadyExists)
		}
		svc.Name = "new"
		if what != "a full range" && what != "a health check" {
			w.refused(svc, "spec.")
		}
	}
}

func TestC7RefusalsWriteNothing(t *testing.T) {
	w := start(t)
	w.create(newService("web", at("10.96.0.5"), onPort(30005)))
	external := newService("denied")
	external.Spec.ExternalIPs = []string{"192.0.2.1"}
	icmp := newService("invalid", onPort(0))
	icmp.Spec.Ports[0].Protocol = "ICMP"
	for what, svc := range map[string]*v1.Service{
		"invalid": icmp, "denied by admission": external, "exists": newService("web", onPort(0)),
		"address taken": newService("x", at("10.96.0.5")), "port taken": newService("x", onPort(30005)),
		"half of a pair": newService("x", at("fd00:10:96::9", "10.96.0.5")),
	} {
		n := w.writes(func() {
			if _, err := w.services.Create(t.Context(), svc, metav1.CreateOptions{}); err == nil {
				t.Errorf("%s: created", what)
			}
		})
		if n != 0 {
			t.Errorf("%s: %d writes", what, n)
		}
	}
}

func TestC11RestartsRepairNothing(t *testing.T) {
	w := start(t)
	for i := range 20 {
		w.create(newService(fmt.Sprint("s", i), onPort(0)))
		if i%2 == 0 {
			if err := w.services.Delete(t.Context(), fmt.Sprint("s", i), metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	n := w.writes(func() { restart(w) })
	if n != 0 {
		t.Errorf("the next start wrote %d times", n)
	}
}

func TestC12StatusReadsAreComplete(t *testing.T) {
	w := start(t)
	svc := w.create(newService("old"))
	// As servers wrote it before there were two families.
	svc.Spec.ClusterIPs, svc.Spec.IPFamilies, svc.Spec.IPFamilyPolicy = nil, nil, nil
	w.storeService(svc)
	main, err := w.services.Get(t.Context(), "old", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	status := &v1.Service{}
	err = w.Client.PortolanV1().RESTClient().Get().Namespace("default").Resource("services").Name("old").SubResource("status").
		Do(t.Context()).Into(status)
	if err != nil {
		t.Fatal(err)
	}
	if !equality.Semantic.DeepEqual(main, status) || len(status.Spec.ClusterIPs) != 1 || len(status.Spec.IPFamilies) != 1 {
		t.Errorf("the status subresource shows\n%+v\nthe Service is\n%+v", status.Spec, main.Spec)
	}
}

func TestC13NamelessIsToldOfItsName(t *testing.T) {
	w := start(t)
	w.refused(newService(""), "metadata.name: Required value: name or generateName is required")
}

func TestC14NothingLeftIsNoServerError(t *testing.T) {
	w := start(t, func(o *options.Options) {
		o.NodePortRanges = []string{"30000"}
		o.ClusterIPRanges = []string{"10.96.0.0/30"}
	})
	w.refused(newService("lb", local), "spec.healthCheckNodePort", "range is full")
	health := newService("lb", local)
	health.Spec.HealthCheckNodePort = 40000
	w.refused(health, "spec.healthCheckNodePort: Invalid value: 40000: provided port is not in the valid range. The range of valid ports is 30000")
	w.create(newService("a", onPort(0)))
	w.refused(newService("b", onPort(0)), "spec.ports[0].nodePort", "range is full: kubernetes (30000) holds 1 of 1")
	w.create(newService("b"))
	w.refused(newService("c"), "spec.clusterIPs", "range is full: kubernetes (10.96.0.0/30) holds 2 of 2")
	w.create(newService("headless", at("None")))
	_, err := w.services.Patch(t.Context(), "b", types.MergePatchType, []byte(`{"spec":{"type":"NodePort"}}`), metav1.PatchOptions{})
	w.expect("patch", err, apierrors.IsInvalid, "range is full")
}

func TestC17OneWriteForAnyNumberOfPorts(t *testing.T) {
	w := start(t)
	many := newService("many", onPort(0))
	many.Spec.Ports = nil
	for i := range int32(80) {
		many.Spec.Ports = append(many.Spec.Ports, corev1.ServicePort{Name: fmt.Sprint("p", i), Port: 1000 + i})
	}
	if n := w.writes(func() { w.create(many) }); n != 1 {
		t.Errorf("the create wrote %d times", n)
	}
	n := w.writes(func() {
		if err := w.services.Delete(t.Context(), "many", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	if n != 1 {
		t.Errorf("the delete wrote %d times", n)
	}
}

func TestC18DroppedProtocolIsWarnedOf(t *testing.T) {
	w := start(t)
	dns := newService("dns")
	dns.Spec.Ports = []corev1.ServicePort{{Name: "tcp", Port: 53, Protocol: corev1.ProtocolTCP}, {Name: "http", Port: 80}}
	w.create(dns)
	heard := &warnings{}
	services := w.withWarnings(heard).PortolanV1().Services("default")
	patch := func(kind types.PatchType, body string) *v1.Service {
		t.Helper()
		heard.texts = nil
		svc, err := services.Patch(t.Context(), "dns", kind, []byte(body), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return svc
	}
	const (
		both = `{"spec":{"ports":[{"name":"tcp","port":53,"protocol":"TCP"},{"name":"udp","port":53,"protocol":"UDP"}]}}`
		tcp  = `{"spec":{"ports":[{"name":"tcp","port":53,"protocol":"TCP"}]}}`
	)
	svc := patch(types.StrategicMergePatchType, both)
	if len(svc.Spec.Ports) == 3 {
		t.Fatal("strategic merge patches tell protocols apart now: the warning can go")
	}
	if len(heard.texts) != 1 || !strings.Contains(heard.texts[0], ": port 53 is no longer served over TCP: ") {
		t.Errorf("warnings: %q", heard.texts)
	}
	patch(types.MergePatchType, both)
	patch(types.MergePatchType, tcp)
	if len(heard.texts) != 0 {
		t.Errorf("a merge patch, which says what it means: %q", heard.texts)
	}
	patch(types.StrategicMergePatchType, `{"metadata":{"labels":{"a":"b"}}}`)
	if len(heard.texts) != 0 {
		t.Errorf("a patch of something else: %q", heard.texts)
	}
}

func TestC21HoldersAreNamed(t *testing.T) {
	w := start(t)
	w.create(newService("web", at("10.96.0.5"), onPort(30005)))
	w.refused(newService("x", at("10.96.0.5")),
		"failed to allocate IP 10.96.0.5: provided IP is already allocated by services.portolan.dev/default/web")
	w.refused(newService("x", onPort(30005)), "provided port is already allocated by services.portolan.dev/default/web")

	table := &metav1.Table{}
	err := w.Client.PortolanV1().RESTClient().Get().Resource("ipaddresses").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(t.Context()).Into(table)
	if err != nil {
		t.Fatal(err)
	}
	if columns, cells := len(table.ColumnDefinitions), len(table.Rows[0].Cells); columns != cells || columns != 5 {
		t.Errorf("%d columns, %d cells", columns, cells)
	}
}

func TestC23UsageIsReadable(t *testing.T) {
	w := start(t)
	w.create(newService("web", at("10.96.0.5"), onPort(30005)))
	ports, err := w.Client.PortolanV1().NodePortRanges().Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || ports.Status.Capacity != 100 || ports.Status.Allocated != 1 || ports.Status.Free != 99 {
		t.Errorf("got %+v, %v", ports.Status, err)
	}
	cidr, err := w.Client.PortolanV1().ServiceCIDRs().Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || len(cidr.Status.CIDRs) != 2 || cidr.Status.CIDRs[0].Capacity != 254 || cidr.Status.CIDRs[0].Allocated != 1 {
		t.Errorf("got %+v, %v", cidr.Status, err)
	}
	port, err := w.Client.PortolanV1().NodePorts().Get(t.Context(), "30005", metav1.GetOptions{})
	if err != nil || port.Spec.ParentRef.Name != "web" {
		t.Errorf("got %+v, %v", port.Spec, err)
	}
}

// warnings collects those of answers.
type warnings struct{ texts []string }

func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _, text string) {
	if code == 299 {
		w.texts = append(w.texts, text)
	}
}

func (w fixture) withWarnings(heard *warnings) versioned.Interface {
	w.Helper()
	config := rest.CopyConfig(w.Config)
	config.WarningHandlerWithContext = heard
	client, err := versioned.NewForConfig(config)
	if err != nil {
		w.Fatal(err)
	}
	return client
}
