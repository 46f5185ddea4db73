//go:build e2e

package mirror

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// adopt runs the command portolan adopt as an administrator of the cluster.
func (f *fixture) adopt(g gateway, args ...string) (string, error) {
	f.t.Helper()
	return f.move("adopt", g, args...)
}

// move runs the command adopt or release as an administrator of the cluster.
func (f *fixture) move(command string, g gateway, args ...string) (string, error) {
	f.t.Helper()
	authority, err := os.ReadFile(filepath.Join(g.DataDir, "pki/ca.crt"))
	f.must(err)
	args = append([]string{
		command, "--kubeconfig=" + f.kube.Kubeconfig, "--portolan-kubeconfig=" + f.kubeconfigOf(g.Config.Host, authority, f.root()),
	}, args...)
	out, errOut, err := framework.Command(f.t, args...)
	return out + errOut, err
}

// TestAdopt adopts a Service with endpoints and wants everything of it to stay, at all
// times.
func TestAdopt(t *testing.T) {
	f := newFixture(t, framework.EndpointControllers, framework.DeletionControllers)
	g := f.serve(nil)
	ctx := t.Context()
	source := f.create("web", withNodePort)
	f.create("manual", func(s *corev1.Service) { s.Spec.Selector = nil })
	f.create("balancer", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer })
	owner, err := f.cluster.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owner"}},
		metav1.CreateOptions{})
	f.must(err)
	f.create("owned", func(s *corev1.Service) {
		s.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "ConfigMap", Name: "owner", UID: owner.UID, Controller: ptr.To(true),
		}}
	})
	f.startPod("web", "web", "192.0.2.7")
	f.createSlice("manual-1", "manual", "192.0.2.8")
	for _, name := range []string{"web", "manual"} {
		f.expectSlices(g, name)
	}
	f.expectEndpoints(g, "web")
	g.eventually(t, "balancer", "is there", isThere)
	g.eventually(t, "owned", "is there", isThere)

	before := f.revision()
	out, err := f.adopt(g, "-n", namespace, "--dry-run")
	f.must(err)
	for _, want := range []string{
		"plan: adopt default/web (NodePort, " + source.Spec.ClusterIP + ", node port 30777)\n", "plan: adopt default/manual (",
		"not adopted: default/kubernetes: the cluster's API server keeps it\n", "not adopted: default/balancer: the cluster's controller",
		"not adopted: default/owned: ConfigMap owner controls it",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
	if f.revision() != before {
		t.Error("a dry run writes")
	}
	stop := g.watchEndpoints(t, "web")
	out, err = f.adopt(g, "-n", namespace)
	if err != nil || !strings.Contains(out, "adopted default/web (2 of 2)\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	_, err = f.cluster.CoreV1().Services(namespace).Get(ctx, "web", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the cluster's Service: %v", err)
	}
	g.expectAdopted(t, source)
	// Portolan's controllers have taken over.
	f.startPod("web-2", "web", "192.0.2.9")
	framework.Eventually(t, "the new Pod is in a slice", func(context.Context) (bool, error) {
		slices := g.slices(t, "web")
		return len(slices) == 1 && len(slices[0].Endpoints) == 2 && slices[0].Annotations[v1.AnnotationMirroredFrom] == "",
			fmt.Errorf("there are %v", slices)
	})
	stop()
	if manual := g.slices(t, "manual"); len(manual) != 1 || len(manual[0].Endpoints) != 1 {
		t.Errorf("the handwritten slice: %v", manual)
	}
	if out, err := f.adopt(g, "-n", namespace); err != nil || !strings.Contains(out, "There is nothing to adopt.") {
		t.Errorf("again: %v\n%s", err, out)
	}
	f.must(g.client.CoreV1().Services(namespace).Delete(ctx, "web", metav1.DeleteOptions{}))
	f.expectNoViolation()
}

func isThere(*corev1.Service) bool { return true }

// expectAdopted wants a Service to be Portolan's own and as it was in the cluster.
func (g gateway) expectAdopted(t *testing.T, source *corev1.Service) {
	t.Helper()
	adopted, err := g.client.CoreV1().Services(namespace).Get(t.Context(), source.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if adopted.Annotations[v1.AnnotationAdoptedFrom] == "" {
		t.Errorf("the annotations are %v", adopted.Annotations)
	}
	delete(adopted.Annotations, v1.AnnotationAdoptedFrom)
	if _, mirrored := v1.MirroredFrom(adopted); mirrored {
		t.Error("it is a copy still")
	}
	if adopted.Annotations == nil {
		adopted.Annotations = map[string]string{}
	}
	adopted.Annotations[v1.AnnotationMirroredFrom] = "x"
	if !isCopyOf(adopted, source) {
		t.Errorf("it is %v and was %v", adopted, source)
	}
}

// watchEndpoints wants a Service to have an endpoint in its slices until stop is called.
func (g gateway) watchEndpoints(t *testing.T, service string) (stop func()) {
	t.Helper()
	w, err := g.client.DiscoveryV1().EndpointSlices(namespace).Watch(t.Context(), metav1.ListOptions{LabelSelector: ofService(service)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		endpoints := map[string]int{}
		for event := range w.ResultChan() {
			slice, ok := event.Object.(*discoveryv1.EndpointSlice)
			if !ok {
				continue
			}
			if endpoints[slice.Name] = len(slice.Endpoints); event.Type == watch.Deleted {
				delete(endpoints, slice.Name)
			}
			total := 0
			for _, n := range endpoints {
				total += n
			}
			if total == 0 {
				t.Errorf("%s has no endpoints after %v", service, event)
			}
		}
	}()
	return func() {
		w.Stop()
		<-done
	}
}

// TestAdoptInterrupted leaves an adoption between its two steps and finishes it, and wants
// the mirror to leave the Service alone meanwhile.
func TestAdoptInterrupted(t *testing.T) {
	f := newFixture(t)
	g := f.serve(nil)
	source := f.create("web", nil)
	expectCopy(t, g, source)
	f.must(g.Client.PortolanV1().RESTClient().Post().Namespace(namespace).Resource("services").Name("web").SubResource("adopt").
		Do(t.Context()).Error())
	f.must(g.Stop())
	g = f.serve(nil)
	g.expectAdopted(t, source)
	out, err := f.adopt(g, "web", "-n", namespace)
	if err != nil || !strings.Contains(out, "plan: finish default/web (") || !strings.Contains(out, "adopted default/web (1 of 1)\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	// Another Service of the cluster gets the address, and is not mirrored.
	other := f.create("other", func(s *corev1.Service) { s.Spec.ClusterIP = source.Spec.ClusterIP })
	g.awaitMetric(t, valueConflicts, "1")
	f.awaitEvent(other, "already allocated by services.portolan.dev/default/web")
	g.expectAdopted(t, source)
	out, err = f.adopt(g, "-n", namespace, "--dry-run")
	if err != nil || !strings.Contains(out, "not adopted: default/other: it is not mirrored (") {
		t.Errorf("a plan with a Service that is not mirrored: %v\n%s", err, out)
	}
	for _, args := range [][]string{{}, {"--all", "web"}, {"nobody", "-n", namespace}} {
		if out, err := f.adopt(g, args...); err == nil {
			t.Errorf("adopt %v: %s", args, out)
		}
	}
	f.expectNoViolation()
}

// expectNoViolation is expectConsistent for a store with adopted Services, whose addresses
// lie in no range.
func (f *fixture) expectNoViolation() {
	f.t.Helper()
	framework.Verify(f.t, f.store.Client)
}
