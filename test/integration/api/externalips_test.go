package api

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestExternalIPs has two replicas, one of which allows external IPs.
func TestExternalIPs(t *testing.T) {
	t.Parallel()
	store := framework.StartEtcd(t)
	denies := servicesOf(framework.Start(t, framework.On(store)))
	allows := servicesOf(framework.Start(t, func(o *options.Options) {
		framework.On(store)(o)
		o.Admission.DisablePlugins = []string{"DenyServiceExternalIPs"}
	}))
	ctx := t.Context()
	externalIPs := func(addresses ...string) func(*corev1.ServiceSpec) {
		return func(spec *corev1.ServiceSpec) { spec.ExternalIPs = addresses }
	}
	const text = `services.portolan.dev "x1" is forbidden: Use of external IPs is denied by admission control`
	denied := func(what string, err error) {
		t.Helper()
		if !apierrors.IsForbidden(err) || err.Error() != text {
			t.Errorf("%s: got %v, want a 403: %s", what, err, text)
		}
	}

	before := revision(t, store)
	_, err := denies.Create(ctx, serviceWith("x1", externalIPs("192.0.2.1")), metav1.CreateOptions{})
	denied("create", err)
	_, err = denies.Create(ctx, serviceWith("x1", externalIPs("192.0.2.1")), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	denied("create, dry run", err)
	apply := `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"x1"},"spec":{"ports":[{"port":80}],"externalIPs":["192.0.2.1"]}}`
	_, err = denies.Patch(ctx, "x1", types.ApplyYAMLPatchType, []byte(apply), metav1.PatchOptions{FieldManager: "test"})
	denied("apply that creates", err)
	if after := revision(t, store); after != before {
		t.Errorf("refused requests took the store from revision %d to %d", before, after)
	}

	svc, err := allows.Create(ctx, serviceWith("x1", externalIPs("192.0.2.1", "192.0.2.2")), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	patch := func(addresses string, subresources ...string) error {
		_, err := denies.Patch(ctx, "x1", types.MergePatchType, []byte(`{"spec":{"externalIPs":`+addresses+`}}`), metav1.PatchOptions{},
			subresources...)
		return err
	}
	svc.Spec.ExternalIPs = []string{"192.0.2.1", "192.0.2.3"}
	_, err = denies.Update(ctx, svc, metav1.UpdateOptions{})
	denied("replace with another", err)
	denied("patch to one more", patch(`["192.0.2.1","192.0.2.2","192.0.2.3"]`))
	for _, allowed := range []struct {
		what string
		err  error
	}{
		{"a status", patch(`["192.0.2.3"]`, "status")},
		{"another order", patch(`["192.0.2.2","192.0.2.1"]`)},
		{"one less", patch(`["192.0.2.2"]`)},
		{"none", patch(`[]`)},
	} {
		if allowed.err != nil {
			t.Errorf("%s: %v", allowed.what, allowed.err)
		}
	}
	denied("patch back to what was removed", patch(`["192.0.2.2"]`))
}
