//go:build e2e

package aggregated

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/test/framework"
)

// said is what an answer says, in the words of the cluster's own Services.
func said(t *testing.T, err error) string {
	t.Helper()
	status, ok := err.(apierrors.APIStatus)
	if !ok {
		t.Fatalf("not an answer: %v", err)
	}
	answer := status.Status()
	answer.ListMeta = metav1.ListMeta{}
	if answer.Details != nil && answer.Details.Group == v1.GroupName {
		answer.Details.Group = ""
	}
	return strings.ReplaceAll(answer.String(), "services.portolan.dev", "services")
}

// testNamespaceLifecycle wants the same refusals for a Service here and one of
// the cluster, through the cluster's address and past it.
func testNamespaceLifecycle(t *testing.T, g *fixture) {
	ctx := t.Context()
	terminating := g.newNamespace(t, "terminating")
	g.createConfigMap(t, terminating, metav1.ObjectMeta{Name: "stays", Finalizers: []string{"example.com/stays"}})
	if err := g.client.CoreV1().Namespaces().Delete(ctx, terminating, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	clients := map[string]versioned.Interface{"through the cluster": g.portolan, "directly": g.direct(t, g.kubeconfig)}
	for what, test := range map[string]struct {
		namespace string
		is        func(error) bool
	}{
		"missing":     {"nope", apierrors.IsNotFound},
		"terminating": {terminating, func(err error) bool { return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) }},
	} {
		core := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: newService("web").Spec}
		_, err := g.client.CoreV1().Services(test.namespace).Create(ctx, core, metav1.CreateOptions{})
		if !test.is(err) {
			t.Fatalf("a core Service in a namespace that is %s: %v", what, err)
		}
		want := said(t, err)
		for way, client := range clients {
			var got error
			// A watch shows whether a namespace goes away.
			framework.Eventually(t, what+" "+way, func(ctx context.Context) (bool, error) {
				_, got = client.PortolanV1().Services(test.namespace).Create(ctx, newService("web"),
					metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				return test.is(got), nil
			})
			if said := said(t, got); said != want {
				t.Errorf("%s, %s:\n%s\nwant\n%s", what, way, said, want)
			}
		}
	}
	removeFinalizers(t, g, terminating, "stays")
	g.awaitNoNamespace(t, terminating)
}

// removeFinalizers lets a ConfigMap go.
func removeFinalizers(t *testing.T, g *fixture, namespace, name string) {
	t.Helper()
	patch := []byte(`{"metadata":{"finalizers":null}}`)
	if _, err := g.client.CoreV1().ConfigMaps(namespace).Patch(t.Context(), name, types.MergePatchType, patch,
		metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (g *fixture) awaitNoNamespace(t *testing.T, name string) {
	t.Helper()
	framework.Eventually(t, "the namespace is gone", func(ctx context.Context) (bool, error) {
		left, err := g.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			return false, fmt.Errorf("its status is %v", left.Status)
		}
		return gone(err)
	})
}

// testNamespaceDeletion deletes a namespace that is full of what is ours, and
// gives what was claimed there to another.
func testNamespaceDeletion(t *testing.T, g *fixture) {
	ctx := t.Context()
	doomed, other := g.newNamespace(t, "doomed"), g.newNamespace(t, "other")
	kept := g.createService(t, other, newService("kept", nodePort(0)))
	held := []*v1.Service{
		g.createService(t, doomed, newService("web", nodePort(0))),
		g.createService(t, doomed, newService("api")),
		g.createService(t, doomed, newService("headless", func(svc *v1.Service) { svc.Spec.ClusterIP = corev1.ClusterIPNone })),
		g.createService(t, doomed, newService("finalized", func(svc *v1.Service) { svc.Finalizers = []string{"example.com/drained"} })),
	}
	endpoints := &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "alone"}}
	if _, err := g.portolan.PortolanV1().Endpoints(doomed).Create(ctx, endpoints, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	slice := &v1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "alone"}, AddressType: discoveryv1.AddressTypeIPv4}
	if _, err := g.portolan.PortolanV1().EndpointSlices(doomed).Create(ctx, slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := g.client.CoreV1().Namespaces().Delete(ctx, doomed, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	// The finalizer keeps its Service, and the Service its claims and the
	// namespace, which says why it is still there.
	framework.Eventually(t, "the namespace says what is left", func(ctx context.Context) (bool, error) {
		left, err := g.client.CoreV1().Namespaces().Get(ctx, doomed, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, condition := range left.Status.Conditions {
			if condition.Type == corev1.NamespaceContentRemaining && condition.Status == corev1.ConditionTrue &&
				strings.Contains(condition.Message, "services.portolan.dev has 1 resource instances") {
				return true, nil
			}
		}
		return false, fmt.Errorf("its status is %v", left.Status)
	})
	g.checkClaims(t, held[3], true)
	for _, svc := range held[:3] {
		g.checkClaims(t, svc, false)
	}
	_, err := g.portolan.PortolanV1().Services(doomed).Patch(ctx, "finalized", types.MergePatchType,
		[]byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g.awaitNoNamespace(t, doomed)
	g.checkClaims(t, held[3], false)
	g.checkClaims(t, kept, true)

	for _, svc := range held {
		again := g.createService(t, other, newService(svc.Name, func(again *v1.Service) {
			again.Spec.Type, again.Spec.ClusterIP = svc.Spec.Type, svc.Spec.ClusterIP
			again.Spec.Ports[0].NodePort = svc.Spec.Ports[0].NodePort
		}))
		g.checkClaims(t, again, true)
	}
}
