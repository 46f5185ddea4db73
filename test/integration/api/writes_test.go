package api

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	typedv1 "github.com/portolan-dev/portolan/generated/clientset/versioned/typed/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// writer makes requests about Services.
type writer struct {
	*testing.T
	services typedv1.ServiceInterface
}

// writeStep is a request and how many revisions of etcd it makes.
type writeStep struct {
	name   string
	writes int64
	do     func() error
}

// TestOneWritePerRequest counts etcd revisions: every request that changes a
// Service is one, with all claims in it, and a refused or dry-run one is none.
func TestOneWritePerRequest(t *testing.T) {
	t.Parallel()
	etcd := framework.StartEtcd(t)
	server := framework.Start(t, framework.On(etcd))
	ctx := t.Context()
	w := writer{t, server.Client.PortolanV1().Services("default")}
	for _, step := range slices.Concat(w.creates(), w.changes(), w.deletions()) {
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

func (writer) service(name string) *v1.Service {
	return &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"test": "writes"}},
		Spec: corev1.ServiceSpec{
			Type:                  corev1.ServiceTypeLoadBalancer,
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal,
			Ports:                 []corev1.ServicePort{{Name: "a", Port: 80}, {Name: "b", Port: 443}},
		},
	}
}

func must(_ *v1.Service, err error) error { return err }

func (w writer) invalid(_ *v1.Service, err error) error {
	if !apierrors.IsInvalid(err) {
		w.Errorf("want 422, got %v", err)
	}
	return nil
}

func (w writer) patch(name string, kind types.PatchType, body string, sub ...string) error {
	return must(w.services.Patch(w.Context(), name, kind, []byte(body), metav1.PatchOptions{}, sub...))
}

func (w writer) creates() []writeStep {
	return []writeStep{
		{"create", 1, func() error { return must(w.services.Create(w.Context(), w.service("a"), metav1.CreateOptions{})) }},
		{"create of a second", 1, func() error { return must(w.services.Create(w.Context(), w.service("b"), metav1.CreateOptions{})) }},
		{"create, dry run", 0, func() error {
			return must(w.services.Create(w.Context(), w.service("c"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}))
		}},
		{"create, invalid", 0, func() error {
			svc := w.service("c")
			svc.Spec.Ports[0].Protocol = "ICMP"
			return w.invalid(w.services.Create(w.Context(), svc, metav1.CreateOptions{}))
		}},
		{"create with a node port that is taken", 0, func() error {
			held, err := w.services.Get(w.Context(), "a", metav1.GetOptions{})
			if err != nil {
				return err
			}
			svc := w.service("c")
			svc.Spec.Ports[0].NodePort = held.Spec.Ports[0].NodePort
			return w.invalid(w.services.Create(w.Context(), svc, metav1.CreateOptions{}))
		}},
		{"create of one that exists", 0, func() error {
			if _, err := w.services.Create(w.Context(), w.service("a"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
				w.Errorf("want 409, got %v", err)
			}
			return nil
		}},
		{"replace", 1, func() error {
			svc := w.service("a")
			svc.Spec.Ports = svc.Spec.Ports[:1]
			return must(w.services.Update(w.Context(), svc, metav1.UpdateOptions{}))
		}},
		{"replace that creates", 1, func() error {
			return must(w.services.Update(w.Context(), w.service("put"), metav1.UpdateOptions{}))
		}},
	}
}

func (w writer) changes() []writeStep {
	return []writeStep{
		{"merge patch of the type", 1, func() error {
			return w.patch("a", types.MergePatchType, `{"spec":{"type":"ClusterIP"}}`)
		}},
		{"patch that changes nothing", 0, func() error {
			return w.patch("a", types.MergePatchType, `{"spec":{"type":"ClusterIP"}}`)
		}},
		{"strategic merge patch", 1, func() error {
			return w.patch("b", types.StrategicMergePatchType, `{"spec":{"ports":[{"name":"c","port":8443}]}}`)
		}},
		{"status patch", 1, func() error {
			return w.patch("b", types.MergePatchType, `{"status":{"loadBalancer":{"ingress":[{"ip":"130.211.53.173"}]}}}`, "status")
		}},
		{"server-side apply that creates", 1, func() error {
			body := `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"applied"},"spec":{"type":"NodePort","ports":[{"port":80}]}}`
			return must(w.services.Patch(w.Context(), "applied", types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: "test"}))
		}},
		{"server-side apply that changes", 1, func() error {
			body := `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"applied"},"spec":{"type":"ClusterIP","ports":[{"port":80}]}}`
			return must(w.services.Patch(w.Context(), "applied", types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: "test"}))
		}},
	}
}

func (w writer) deletions() []writeStep {
	const finalizer = `{"metadata":{"finalizers":["example.com/wait"]}}`
	return []writeStep{
		{"delete, dry run", 0, func() error {
			return w.services.Delete(w.Context(), "b", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		}},
		{"patch that adds a finalizer", 1, func() error { return w.patch("b", types.MergePatchType, finalizer) }},
		{"delete that waits", 1, func() error { return w.services.Delete(w.Context(), "b", metav1.DeleteOptions{}) }},
		{"update that drops the last finalizer", 1, func() error {
			return w.patch("b", types.MergePatchType, `{"metadata":{"finalizers":null}}`)
		}},
		{"delete", 1, func() error { return w.services.Delete(w.Context(), "a", metav1.DeleteOptions{}) }},
		{"delete of none", 0, func() error {
			if err := w.services.Delete(w.Context(), "a", metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
				w.Errorf("want 404, got %v", err)
			}
			return nil
		}},
		{"deletecollection of two", 2, func() error {
			return w.services.DeleteCollection(w.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
		}},
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
