package api

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

func serviceRef(name string) *v1.ParentReference {
	return &v1.ParentReference{Resource: "services", Namespace: "default", Name: name}
}

func reserveAddress(t *testing.T, server *framework.Server, address, service string, change ...func(*v1.IPAddress)) {
	t.Helper()
	claim := &v1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: address}, Spec: v1.IPAddressSpec{ParentRef: serviceRef(service)}}
	for _, change := range change {
		change(claim)
	}
	if _, err := server.Client.PortolanV1().IPAddresses().Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func reservePort(t *testing.T, server *framework.Server, port, service string, change ...func(*v1.NodePortSpec)) {
	t.Helper()
	claim := &v1.NodePort{ObjectMeta: metav1.ObjectMeta{Name: port}, Spec: v1.NodePortSpec{ParentRef: serviceRef(service)}}
	for _, change := range change {
		change(&claim.Spec)
	}
	if _, err := server.Client.PortolanV1().NodePorts().Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func forPort(refs ...v1.ServicePortReference) func(*v1.NodePortSpec) {
	return func(spec *v1.NodePortSpec) { spec.ServicePorts = refs }
}

// A Service gets what is reserved for it without naming it, in one write. Nothing else gets
// it.
func TestReservedForAService(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges("20000-20099", "10.96.0.0/24", "fd00:96::/112"))
	server, ctx := replicas[0], t.Context()
	reserveAddress(t, server, "10.96.0.77", "web", func(claim *v1.IPAddress) { claim.Labels = map[string]string{"kept": "yes"} })
	reserveAddress(t, server, "fd00:96::77", "web")
	reservePort(t, server, "20080", "web", forPort(v1.ServicePortReference{Name: "http", Port: 80}))
	reservePort(t, server, "20053", "web", forPort(v1.ServicePortReference{Port: 53, Protocol: "UDP"}, v1.ServicePortReference{Port: 53}))
	reservePort(t, server, "20099", "web", func(spec *v1.NodePortSpec) { spec.HealthCheck = new(true) })

	_, err := servicesOf(server).Create(ctx, serviceWith("thief", onAddresses("10.96.0.77")), metav1.CreateOptions{})
	expectInvalid(t, "a thief of the address", err, "failed to allocate IP 10.96.0.77: provided IP is already allocated by services/default/web")
	_, err = servicesOf(server).Create(ctx, serviceWith("thief", onNodePort(20080)), metav1.CreateOptions{})
	expectInvalid(t, "a thief of the port", err, "provided port is already allocated by services/default/web")

	web := serviceWith("web", func(spec *corev1.ServiceSpec) {
		dualStack := corev1.IPFamilyPolicyRequireDualStack
		spec.Type, spec.ExternalTrafficPolicy, spec.IPFamilyPolicy = corev1.ServiceTypeLoadBalancer, "Local", &dualStack
		spec.Ports = []corev1.ServicePort{
			{Name: "metrics", Port: 9090}, {Name: "dns", Port: 53, Protocol: "UDP"}, {Name: "dns-tcp", Port: 53}, {Name: "http", Port: 8080},
		}
	})
	tried, err := servicesOf(server).Create(ctx, web.DeepCopy(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	expectReserved(t, "dry run", tried)
	before := revision(t, store)
	created, err := servicesOf(server).Create(ctx, web, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expectReserved(t, "create", created)
	if after := revision(t, store); after != before+1 {
		t.Errorf("the create took %d writes", after-before)
	}
	claim, err := server.Client.PortolanV1().IPAddresses().Get(ctx, "10.96.0.77", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if claim.Spec.ParentRef.UID != created.UID || claim.Labels["kept"] != "yes" || claim.Labels[v1.LabelManagedBy] != v1.ManagedByAllocator {
		t.Errorf("the claim is %+v", claim)
	}
	expectQuiet(t, store)
	deleteAllServices(t, server)
	expectQuiet(t, store)
}

func expectReserved(t *testing.T, what string, svc *v1.Service) {
	t.Helper()
	if got := strings.Join(svc.Spec.ClusterIPs, ","); got != "10.96.0.77,fd00:96::77" {
		t.Errorf("%s: addresses %s", what, got)
	}
	want := []int32{0, 20053, 20053, 20080}
	for i, port := range svc.Spec.Ports {
		if i > 0 && port.NodePort != want[i] || port.NodePort == 0 {
			t.Errorf("%s: port %s has %d", what, port.Name, port.NodePort)
		}
	}
	if svc.Spec.HealthCheckNodePort != 20099 {
		t.Errorf("%s: health check port %d", what, svc.Spec.HealthCheckNodePort)
	}
}

// The Service may name what is reserved for it, and gets a reserved port when it begins to
// need one.
func TestReservedValuesOfOwnService(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges("20000-20099", "10.96.0.0/24"))
	server, ctx := replicas[0], t.Context()
	reserveAddress(t, server, "10.96.0.77", "web")
	reservePort(t, server, "20080", "web")
	svc, err := servicesOf(server).Create(ctx, serviceWith("web", onAddresses("10.96.0.77")), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	svc.Spec.Type = corev1.ServiceTypeNodePort
	svc, err = servicesOf(server).Update(ctx, svc, metav1.UpdateOptions{})
	if err != nil || svc.Spec.Ports[0].NodePort != 20080 {
		t.Fatalf("got %v, error %v", svc.Spec.Ports, err)
	}
	// The file with the reservation can be sent again.
	port, err := server.Client.PortolanV1().NodePorts().Get(ctx, "20080", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	port.Spec.ParentRef = serviceRef("web")
	if _, err := server.Client.PortolanV1().NodePorts().Update(ctx, port, metav1.UpdateOptions{}); err != nil {
		t.Errorf("the reservation again: %v", err)
	}
	if err := server.Client.PortolanV1().NodePorts().Delete(ctx, "20080", metav1.DeleteOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("delete of a held reservation: %v", err)
	}
	expectQuiet(t, store)
}

// A reserved value that no range lets the Service have is left alone.
func TestReservedOutsideRanges(t *testing.T) {
	t.Parallel()
	_, replicas := framework.Replicas(t, 1, withRanges("20000-20099", "10.96.0.0/24"))
	server := replicas[0]
	reserveAddress(t, server, "10.97.0.77", "web")
	svc, err := servicesOf(server).Create(t.Context(), serviceWith("web"), metav1.CreateOptions{})
	if err != nil || !strings.HasPrefix(svc.Spec.ClusterIP, "10.96.0.") {
		t.Fatalf("got %v, error %v", svc, err)
	}
	_, err = server.Client.PortolanV1().IPAddresses().Get(context.WithoutCancel(t.Context()), "10.97.0.77", metav1.GetOptions{})
	if err != nil {
		t.Error(err)
	}
}
