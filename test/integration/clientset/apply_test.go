// Package clientset tests what the generated clients promise beyond compiling.
package clientset

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	discoveryv1apply "k8s.io/client-go/applyconfigurations/discovery/v1"

	portolanv1 "github.com/portolan-dev/portolan/generated/applyconfiguration/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned/fake"
)

// The generator knows models by other names than the scheme does, and
// update-codegen.sh puts that right; where it doesn't, fields merge as though
// they had no schema, or can't be extracted at all.
func TestApplyMergesAndExtractsBySchema(t *testing.T) {
	ctx := t.Context()
	services := fake.NewClientset().PortolanV1().Services("default")

	apply := func(manager string, port int32) {
		t.Helper()
		service := portolanv1.Service("web", "default").WithSpec(corev1apply.ServiceSpec().WithPorts(
			corev1apply.ServicePort().WithPort(port).WithProtocol(corev1.ProtocolTCP)))
		if _, err := services.Apply(ctx, service, metav1.ApplyOptions{FieldManager: manager}); err != nil {
			t.Fatal(err)
		}
	}
	apply("first", 80)
	apply("second", 443)

	service, err := services.Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(service.Spec.Ports) != 2 {
		t.Errorf("ports %v, want those of both managers", service.Spec.Ports)
	}
	owned, err := portolanv1.ExtractService(service, "second")
	if err != nil {
		t.Fatal(err)
	}
	if owned.Spec == nil || len(owned.Spec.Ports) != 1 || *owned.Spec.Ports[0].Port != 443 {
		t.Errorf("second manager owns %v, want port 443 only", owned.Spec)
	}
}

// The fields of EndpointSlices come from another of upstream's packages.
func TestApplyOfEndpointSlices(t *testing.T) {
	ctx := t.Context()
	slices := fake.NewClientset().PortolanV1().EndpointSlices("default")
	apply := func(manager, address string) error {
		slice := portolanv1.EndpointSlice("web-1", "default").WithAddressType(discoveryv1.AddressTypeIPv4).
			WithEndpoints(discoveryv1apply.Endpoint().WithAddresses(address))
		_, err := slices.Apply(ctx, slice, metav1.ApplyOptions{FieldManager: manager})
		return err
	}
	if err := apply("first", "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	if err := apply("second", "192.0.2.2"); !apierrors.IsConflict(err) {
		t.Errorf("the list of endpoints belongs to its writer, but another's apply ended with %v", err)
	}
	slice, err := slices.Get(ctx, "web-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	owned, err := portolanv1.ExtractEndpointSlice(slice, "first")
	if err != nil {
		t.Fatal(err)
	}
	if len(owned.Endpoints) != 1 || owned.Endpoints[0].Addresses[0] != "192.0.2.1" {
		t.Errorf("first manager owns %v", owned.Endpoints)
	}
}
