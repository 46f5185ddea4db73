// Package clientset tests what the generated clients promise beyond compiling.
package clientset

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"

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
