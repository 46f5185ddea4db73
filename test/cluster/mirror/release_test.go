//go:build e2e

package mirror

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestRelease adopts Services and releases them, and wants everything of them to be as
// before but for the UID and the time of creation, and endpoints and claims at all times.
func TestRelease(t *testing.T) {
	f := newFixture(t, framework.EndpointControllers, framework.DeletionControllers)
	g := f.serve(nil)
	ctx := t.Context()
	web := f.create("web", withNodePort)
	web.Status.Conditions = []metav1.Condition{{Type: "Example", Status: "True", Reason: "Set", LastTransitionTime: metav1.Now()}}
	web, err := f.cluster.CoreV1().Services(namespace).UpdateStatus(ctx, web, metav1.UpdateOptions{FieldManager: "example"})
	f.must(err)
	manual := f.create("manual", func(s *corev1.Service) { s.Spec.Selector = nil })
	f.startPod("web", "web", "192.0.2.7")
	f.createSlice("manual-1", "manual", "192.0.2.8")
	for _, name := range []string{"web", "manual"} {
		f.expectSlices(g, name)
	}
	f.mustAdopt(g, "-n", namespace)
	_, err = g.client.CoreV1().Services(namespace).Create(ctx, newService("native", nil), metav1.CreateOptions{})
	f.must(err)

	before := f.versions()
	out, err := f.move("release", g, "-n", namespace, "--dry-run")
	f.must(err)
	for _, want := range []string{
		"plan: release default/web (NodePort, " + web.Spec.ClusterIP + ", node port 30777)\n", "plan: release default/manual (",
		"not released: 1 created in Portolan, which were never the cluster's. Name them to release them.\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
	_, err = f.cluster.CoreV1().Services(namespace).Get(ctx, "web", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) || !maps.Equal(f.versions(), before) {
		t.Errorf("a dry run writes: %v", err)
	}
	stopped := []func(){
		g.watchEndpoints(t, "web"), g.watchEndpoints(t, "manual"), g.watchClaim(t, web.Spec.ClusterIP), g.watchClaim(t, manual.Spec.ClusterIP),
	}
	out, err = f.move("release", g, "-n", namespace)
	if err != nil || !strings.Contains(out, "released default/web (2 of 2)\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, source := range []*corev1.Service{web, manual} {
		released := f.get(source.Name)
		expectReleased(t, released, source)
		expectCopy(t, g, released)
		f.expectSlices(g, source.Name)
	}
	f.expectEndpoints(g, "web")
	f.startPod("web-2", "web", "192.0.2.9")
	framework.Eventually(t, "the new Pod is in a slice", func(context.Context) (bool, error) {
		slices := g.slices(t, "web")
		return len(slices) == 1 && len(slices[0].Endpoints) == 2, fmt.Errorf("there are %v", slices)
	})
	for _, stop := range stopped {
		stop()
	}
	if out, err := f.move("release", g, "-n", namespace); err != nil || !strings.Contains(out, "There is nothing to release.") {
		t.Errorf("again: %v\n%s", err, out)
	}
	f.expectNoViolation()
	f.mustAdopt(g, "-n", namespace)
	framework.Eventually(t, "the endpoints of the Service that was adopted again", func(context.Context) (bool, error) {
		slices := g.slices(t, "web")
		return len(slices) == 1 && len(slices[0].Endpoints) == 2 && slices[0].Annotations[v1.AnnotationMirroredFrom] == "",
			fmt.Errorf("there are %v", slices)
	})
	f.expectNoViolation()
}

func (f *fixture) mustAdopt(g gateway, args ...string) {
	f.t.Helper()
	if out, err := f.move("adopt", g, args...); err != nil {
		f.t.Fatalf("%v\n%s", err, out)
	}
}

// expectReleased wants the cluster's Service to be as it was, with another UID.
func expectReleased(t *testing.T, released, source *corev1.Service) {
	t.Helper()
	if released.UID == source.UID {
		t.Error("the cluster has kept the UID, against what the page says")
	}
	got, want := released.DeepCopy(), source.DeepCopy()
	for _, s := range []*corev1.Service{got, want} {
		s.UID, s.ResourceVersion, s.CreationTimestamp = "", "", metav1.Time{}
	}
	if !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("it is %v\nand was %v", got, want)
	}
}

// watchClaim wants an address to be claimed, and by a Service, until stop is called.
func (g gateway) watchClaim(t *testing.T, address string) (stop func()) {
	t.Helper()
	w, err := g.Client.PortolanV1().IPAddresses().Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + address})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range w.ResultChan() {
			claim, ok := event.Object.(*v1.IPAddress)
			if event.Type == watch.Deleted || ok && claim.Spec.ParentRef.UID == "" {
				t.Errorf("%s is not claimed after %v", address, event)
			}
		}
	}()
	return func() {
		w.Stop()
		<-done
	}
}

// TestReleaseInterrupted leaves releases between their steps and finishes them, also after
// Portolan's Service has changed.
func TestReleaseInterrupted(t *testing.T) {
	f := newFixture(t, framework.EndpointControllers, framework.DeletionControllers)
	g := f.serve(nil)
	ctx := t.Context()
	sources := map[string]*corev1.Service{}
	for _, name := range []string{"created", "changed", "unfinished"} {
		sources[name] = f.create(name, nil)
		expectCopy(t, g, sources[name])
	}
	f.mustAdopt(g, "created", "changed", "-n", namespace)
	f.must(g.Client.PortolanV1().RESTClient().Post().Namespace(namespace).Resource("services").Name("unfinished").SubResource("adopt").
		Do(ctx).Error())
	for _, name := range []string{"created", "changed"} {
		f.create(name, func(s *corev1.Service) {
			s.Spec = *sources[name].Spec.DeepCopy()
			s.Annotations = map[string]string{v1.AnnotationReleasedFrom: string(sources[name].UID)}
		})
	}
	ours, err := g.client.CoreV1().Services(namespace).Get(ctx, "changed", metav1.GetOptions{})
	f.must(err)
	ours.Spec.Ports = append(ours.Spec.Ports, corev1.ServicePort{Name: "more", Port: 81})
	ours.Spec.Ports[0].Name = "first"
	_, err = g.client.CoreV1().Services(namespace).Update(ctx, ours, metav1.UpdateOptions{})
	f.must(err)
	out, err := f.move("release", g, "-n", namespace)
	if err != nil || strings.Count(out, "plan: finish default/") != 3 || !strings.Contains(out, "(3 of 3)") {
		t.Fatalf("%v\n%s", err, out)
	}
	for name := range sources {
		released := f.get(name)
		expectCopy(t, g, released)
		if released.Spec.ClusterIP != sources[name].Spec.ClusterIP || released.Annotations[v1.AnnotationReleasedFrom] != "" ||
			(released.UID == sources[name].UID) != (name == "unfinished") || (len(released.Spec.Ports) == 2) != (name == "changed") {
			t.Errorf("%v", released)
		}
	}
	f.expectConsistent()
}

// TestReleaseConflicts wants Services left alone that the cluster can't take, and those that
// controllers act on, and none of them to change.
func TestReleaseConflicts(t *testing.T) {
	f := newFixture(t)
	g := f.serve(nil)
	ctx := t.Context()
	sources := map[string]*corev1.Service{}
	for _, name := range []string{"name", "address", "port", "kept"} {
		sources[name] = f.create(name, func(s *corev1.Service) {
			if name == "port" {
				withNodePort(s)
			}
		})
		expectCopy(t, g, sources[name])
	}
	f.mustAdopt(g, "-n", namespace)
	// Another Service takes the name; others take the address and the port.
	f.create("name", nil)
	f.create("other-address", func(s *corev1.Service) { s.Spec.ClusterIP = sources["address"].Spec.ClusterIP })
	f.create("other-port", withNodePort)
	_, err := g.client.CoreV1().Services(namespace).Patch(ctx, "kept", "application/merge-patch+json",
		[]byte(`{"metadata":{"finalizers":["example.com/f"]}}`), metav1.PatchOptions{})
	f.must(err)
	_, err = g.client.CoreV1().Services(namespace).Create(ctx, newService("native", nil), metav1.CreateOptions{})
	f.must(err)
	before := f.versions()
	for _, args := range [][]string{{"-n", namespace}, {"native", "-n", namespace}} {
		out, err := f.move("release", g, args...)
		f.must(err)
		wants := []string{
			"not released: default/name: the cluster has another Service of this name\n",
			"not released: default/address: address " + sources["address"].Spec.ClusterIP +
				" is taken at the cluster by the Service default/other-address\n",
			"not released: default/port: node port 30777 is taken at the cluster by the Service default/other-port\n",
			"not released: default/kept: what set the finalizer example.com/f acts on it here",
		}
		if args[0] == "native" {
			// Its address is of none of the cluster's ranges.
			wants = []string{"not released: default/native: the cluster does not take it: ", "not in the valid range"}
		}
		for _, want := range append(wants, "There is nothing to release.\n") {
			if !strings.Contains(out, want) {
				t.Errorf("want %q in\n%s", want, out)
			}
		}
	}
	if after := f.versions(); !maps.Equal(after, before) {
		t.Errorf("the Services were written: %v, before %v", after, before)
	}
	for _, args := range [][]string{{}, {"--all", "web"}, {"nobody", "-n", namespace}} {
		if out, err := f.move("release", g, args...); err == nil {
			t.Errorf("release %v: %s", args, out)
		}
	}
}

// TestReleaseNeedsConsent wants a Service of the cluster not to replace Portolan's own by
// saying so itself.
func TestReleaseNeedsConsent(t *testing.T) {
	f := newFixture(t)
	g := f.serve(nil)
	ctx := t.Context()
	own, err := g.client.CoreV1().Services(namespace).Create(ctx, newService("web", nil), metav1.CreateOptions{})
	f.must(err)
	source := f.create("web", func(s *corev1.Service) {
		s.Annotations = map[string]string{v1.AnnotationReleasedFrom: string(own.UID)}
	})
	marker := f.create("marker", nil)
	expectCopy(t, g, marker)
	copied := source.DeepCopy()
	copied.TypeMeta = metav1.TypeMeta{APIVersion: "portolan.dev/v1", Kind: "Service"}
	copied.Annotations[v1.AnnotationMirroredFrom] = "x"
	copied.ResourceVersion = own.ResourceVersion
	err = g.put(ctx, copied)
	if !apierrors.IsConflict(err) {
		t.Errorf("got %v", err)
	}
	after, err := g.client.CoreV1().Services(namespace).Get(ctx, "web", metav1.GetOptions{})
	f.must(err)
	if after.ResourceVersion != own.ResourceVersion {
		t.Errorf("it is %v", after)
	}
	f.expectConsistent()
}

// put writes a copy as the mirror does.
func (g gateway) put(ctx context.Context, service *corev1.Service) error {
	body, err := json.Marshal(service)
	if err != nil {
		return err
	}
	return g.Client.PortolanV1().RESTClient().Put().Namespace(service.Namespace).Resource("services").Name(service.Name).SubResource("mirror").
		Body(body).Do(ctx).Error()
}
