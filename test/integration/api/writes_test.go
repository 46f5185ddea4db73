package api

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestOneWritePerRequest counts etcd revisions: every request that changes a
// Service is one, with all claims in it, and a refused or dry-run one is none.
func TestOneWritePerRequest(t *testing.T) {
	t.Parallel()
	etcd := framework.StartEtcd(t)
	server := framework.Start(t, framework.On(etcd))
	ctx := t.Context()
	services := server.Client.PortolanV1().Services("default")

	newService := func(name string) *v1.Service {
		return &v1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"test": "writes"}},
			Spec: corev1.ServiceSpec{
				Type:                  corev1.ServiceTypeLoadBalancer,
				ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal,
				Ports:                 []corev1.ServicePort{{Name: "a", Port: 80}, {Name: "b", Port: 443}},
			},
		}
	}
	must := func(_ *v1.Service, err error) error { return err }
	invalid := func(_ *v1.Service, err error) error {
		if !apierrors.IsInvalid(err) {
			t.Errorf("want 422, got %v", err)
		}
		return nil
	}
	patch := func(name string, kind types.PatchType, body string, sub ...string) error {
		return must(services.Patch(ctx, name, kind, []byte(body), metav1.PatchOptions{}, sub...))
	}
	dryRun := []string{metav1.DryRunAll}
	finalizer := `{"metadata":{"finalizers":["example.com/wait"]}}`

	for _, step := range []struct {
		name   string
		writes int64
		do     func() error
	}{
		{"create", 1, func() error { return must(services.Create(ctx, newService("a"), metav1.CreateOptions{})) }},
		{"create of a second", 1, func() error { return must(services.Create(ctx, newService("b"), metav1.CreateOptions{})) }},
		{"create, dry run", 0, func() error {
			return must(services.Create(ctx, newService("c"), metav1.CreateOptions{DryRun: dryRun}))
		}},
		{"create, invalid", 0, func() error {
			svc := newService("c")
			svc.Spec.Ports[0].Protocol = "ICMP"
			return invalid(services.Create(ctx, svc, metav1.CreateOptions{}))
		}},
		{"create with a node port that is taken", 0, func() error {
			held, err := services.Get(ctx, "a", metav1.GetOptions{})
			if err != nil {
				return err
			}
			svc := newService("c")
			svc.Spec.Ports[0].NodePort = held.Spec.Ports[0].NodePort
			return invalid(services.Create(ctx, svc, metav1.CreateOptions{}))
		}},
		{"create of one that exists", 0, func() error {
			if _, err := services.Create(ctx, newService("a"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
				t.Errorf("want 409, got %v", err)
			}
			return nil
		}},
		{"replace", 1, func() error {
			svc := newService("a")
			svc.Spec.Ports = svc.Spec.Ports[:1]
			return must(services.Update(ctx, svc, metav1.UpdateOptions{}))
		}},
		{"replace that creates", 1, func() error {
			return must(services.Update(ctx, newService("put"), metav1.UpdateOptions{}))
		}},
		{"merge patch of the type", 1, func() error {
			return patch("a", types.MergePatchType, `{"spec":{"type":"ClusterIP"}}`)
		}},
		{"patch that changes nothing", 0, func() error {
			return patch("a", types.MergePatchType, `{"spec":{"type":"ClusterIP"}}`)
		}},
		{"strategic merge patch", 1, func() error {
			return patch("b", types.StrategicMergePatchType, `{"spec":{"ports":[{"name":"c","port":8443}]}}`)
		}},
		{"status patch", 1, func() error {
			return patch("b", types.MergePatchType, `{"status":{"loadBalancer":{"ingress":[{"ip":"130.211.53.173"}]}}}`, "status")
		}},
		{"server-side apply that creates", 1, func() error {
			body := `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"applied"},"spec":{"type":"NodePort","ports":[{"port":80}]}}`
			return must(services.Patch(ctx, "applied", types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: "test"}))
		}},
		{"server-side apply that changes", 1, func() error {
			body := `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"applied"},"spec":{"type":"ClusterIP","ports":[{"port":80}]}}`
			return must(services.Patch(ctx, "applied", types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: "test"}))
		}},
		{"delete, dry run", 0, func() error { return services.Delete(ctx, "b", metav1.DeleteOptions{DryRun: dryRun}) }},
		{"patch that adds a finalizer", 1, func() error { return patch("b", types.MergePatchType, finalizer) }},
		{"delete that waits", 1, func() error { return services.Delete(ctx, "b", metav1.DeleteOptions{}) }},
		{"update that drops the last finalizer", 1, func() error {
			return patch("b", types.MergePatchType, `{"metadata":{"finalizers":null}}`)
		}},
		{"delete", 1, func() error { return services.Delete(ctx, "a", metav1.DeleteOptions{}) }},
		{"delete of none", 0, func() error {
			if err := services.Delete(ctx, "a", metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("want 404, got %v", err)
			}
			return nil
		}},
		{"deletecollection of two", 2, func() error {
			return services.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		}},
	} {
		before := revision(t, etcd)
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if wrote := revision(t, etcd) - before; wrote != step.writes {
			t.Errorf("%s wrote etcd %d times, want %d", step.name, wrote, step.writes)
		}
		framework.Verify(t, etcd.Client)
	}

	left, err := server.Client.PortolanV1().IPAddresses().List(ctx, metav1.ListOptions{})
	if err != nil || len(left.Items) != 0 {
		t.Errorf("%d addresses are left, error %v", len(left.Items), err)
	}
	ports, err := server.Client.PortolanV1().NodePorts().List(ctx, metav1.ListOptions{})
	if err != nil || len(ports.Items) != 0 {
		t.Errorf("%d ports are left, error %v", len(ports.Items), err)
	}
}

func revision(t *testing.T, etcd *framework.Etcd) int64 {
	t.Helper()
	response, err := etcd.Client.Get(context.Background(), "health")
	if err != nil {
		t.Fatal(err)
	}
	return response.Header.Revision
}
