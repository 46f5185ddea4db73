package api

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/test/framework"
)

func ingressNamed(name string) *networkingv1.Ingress {
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
			Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Name: "http"}},
		}},
	}
}

// TestIngresses is the life of an Ingress, which ends with its namespace.
func TestIngresses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := coreClient(t, framework.Start(t, nil))
	newNamespace(t, client, "team")
	ingresses := client.NetworkingV1().Ingresses("team")
	made, err := ingresses.Create(ctx, ingressNamed("a"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if made.Generation != 1 || made.Spec.IngressClassName != nil {
		t.Errorf("made %+v", made)
	}
	made.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.1"}}
	if made, err = ingresses.UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil ||
		made.Status.LoadBalancer.Ingress[0].IP != "192.0.2.1" {
		t.Fatalf("its status: %+v, error %v", made, err)
	}
	made.Spec.DefaultBackend.Service.Name, made.Status = "other", networkingv1.IngressStatus{}
	if made, err = ingresses.Update(ctx, made, metav1.UpdateOptions{}); err != nil || made.Generation != 2 ||
		len(made.Status.LoadBalancer.Ingress) != 1 {
		t.Fatalf("its spec: %+v, error %v", made, err)
	}
	made.Spec.DefaultBackend.Service.Port.Number = 80
	const two = `Ingress.networking.k8s.io "a" is invalid: spec.defaultBackend: Invalid value: "": cannot set both port name & port number`
	if _, err := ingresses.Update(ctx, made, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) || err.Error() != two {
		t.Errorf("two ports: %v", err)
	}
	if err := client.CoreV1().Namespaces().Delete(ctx, "team", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Await(t, "the namespace is gone", gone(client, "team"))
	if list, err := client.NetworkingV1().Ingresses(metav1.NamespaceAll).List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
		t.Errorf("left %+v, error %v", list, err)
	}
}

// TestDefaultIngressClass is that of Ingresses that name none.
func TestDefaultIngressClass(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := coreClient(t, framework.Start(t, nil))
	classes := client.NetworkingV1().IngressClasses()
	class := &networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: networkingv1.IngressClassSpec{
			Controller: "example.com/a", Parameters: &networkingv1.IngressClassParametersReference{Kind: "Config", Name: "a"},
		},
	}
	made, err := classes.Create(ctx, class, metav1.CreateOptions{})
	if err != nil || *made.Spec.Parameters.Scope != "Cluster" || made.Generation != 1 {
		t.Fatalf("made %+v, error %v", made, err)
	}
	if _, err := classes.Patch(ctx, "web", types.MergePatchType, []byte(`{"spec":{"controller":"example.com/b"}}`),
		metav1.PatchOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "field is immutable") {
		t.Errorf("another controller: %v", err)
	}
	expectClass(t, client, nil)
	mark := []byte(`{"metadata":{"annotations":{"ingressclass.kubernetes.io/is-default-class":"true"}}}`)
	if _, err := classes.Patch(ctx, "web", types.MergePatchType, mark, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	expectClass(t, client, ptr.To("web"))
	if err := classes.Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expectClass(t, client, nil)
}

// expectClass waits until new Ingresses that name no class get a certain one.
func expectClass(t *testing.T, client kubernetes.Interface, want *string) {
	t.Helper()
	framework.Await(t, "the class "+ptr.Deref(want, "none"), func(ctx context.Context) (bool, error) {
		made, err := client.NetworkingV1().Ingresses(corev1.NamespaceDefault).Create(ctx, ingressNamed("a"),
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && ptr.Equal(made.Spec.IngressClassName, want), err
	})
}
