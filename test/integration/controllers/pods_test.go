package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/controllers/rules"
	"github.com/portolan-dev/portolan/test/framework"
)

func unready(pod *corev1.Pod) { pod.Status.Conditions = nil }

func label(key, value string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Labels[key] = value }
}

func TestPods(t *testing.T) {
	f := start(t)
	f.run("a", nil)
	f.createService(framework.NewService(namespace, "web", nil))
	f.expect("web", "|", "")
	a := f.createPod(newPod("web", "a", nil, "10.1.0.1"))
	f.expect("web", "| 10.1.0.1:8080", "10.1.0.1:8080")
	f.updatePod(a, ready)
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")
	b := f.createPod(newPod("web", "b", ready, "10.1.0.2"))
	f.updatePod(b, label("app", "other"))
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")
	f.updatePod(b, label("app", "web"))
	f.expect("web", "10.1.0.1:8080 10.1.0.2:8080 |", "10.1.0.1:8080/r/s 10.1.0.2:8080/r/s")
	f.updatePod(b, func(pod *corev1.Pod) { pod.DeletionTimestamp = ptr.To(metav1.Now()) })
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s 10.1.0.2:8080/s/t")
	// Upstream doesn't notice that a Pod that wasn't ready has ended.
	f.updatePod(a, unready)
	f.expect("web", "| 10.1.0.1:8080", "10.1.0.1:8080 10.1.0.2:8080/s/t")
	f.updatePod(a, func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed })
	f.expect("web", "|", "10.1.0.2:8080/s/t")
}

// TestLateNode has a Pod whose Node is seen later, and a Node whose zone is.
func TestLateNode(t *testing.T) {
	f := start(t)
	f.run("a", nil)
	f.createService(framework.NewService(namespace, "web", nil))
	f.createPod(newPod("web", "a", func(pod *corev1.Pod) {
		ready(pod)
		pod.Spec.NodeName = "late"
	}, "10.1.0.1"))
	f.expect("web", "10.1.0.1:8080 |", "")
	node, err := f.cluster.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "late"}},
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")
	node.Labels = map[string]string{corev1.LabelTopologyZone: "zone-b"}
	if _, err := f.cluster.CoreV1().Nodes().Update(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.eventually("the zone", func() string { return ptr.Deref(f.slicesOf("web")[0].Endpoints[0].Zone, "") }, "zone-b")
}

// TestWrites counts what is written: each change once, what changes nothing
// never, and nothing that is refused.
func TestWrites(t *testing.T) {
	f := start(t)
	f.run("a", nil)
	expect := func(what string, want ...string) {
		t.Helper()
		if got := f.writes.take(); !slices.Equal(got, want) {
			t.Errorf("%s: writes %q, want %q", what, got, want)
		}
	}
	f.createService(framework.NewService(namespace, "web", nil))
	f.expect("web", "|", "")
	f.eventually("the placeholder", func() string { return fmt.Sprint(len(f.slicesOf("web"))) }, "1")
	expect("a Service", "a POST endpoints", "a POST endpointslices")
	a := f.createPod(newPod("web", "a", nil, "10.1.0.1"))
	b := f.createPod(newPod("other", "b", nil, "10.1.0.2"))
	f.expect("web", "| 10.1.0.1:8080", "10.1.0.1:8080")
	expect("a Pod", "a PUT endpoints", "a PUT endpointslices")

	f.updatePod(a, ready)
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")
	expect("a Pod that turns ready", "a PUT endpoints", "a PUT endpointslices")

	// What changes nothing is seen by what comes after it: both are done in turn.
	f.updatePod(a, func(pod *corev1.Pod) { pod.Annotations = map[string]string{"note": "x"} })
	f.updatePod(a, label("unrelated", "x"))
	f.updatePod(b, ready)
	if _, err := f.portolan.PortolanV1().Services(namespace).Patch(t.Context(), "web", types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"note":"x"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	f.updatePod(a, unready)
	f.expect("web", "| 10.1.0.1:8080", "10.1.0.1:8080")
	expect("a Pod that isn't ready any more, after four changes of nothing", "a PUT endpoints", "a PUT endpointslices")

	// Changes that follow each other faster than the caches learn of writes.
	for i := range 30 {
		f.createPod(newPod("web", fmt.Sprint("c", i), ready, fmt.Sprintf("10.2.0.%d", i)))
	}
	f.eventually("30 more Pods", func() string { return f.countIn("web") }, "31")
	for _, line := range f.writes.take() {
		if line != "a PUT endpoints" && line != "a PUT endpointslices" {
			t.Errorf("%s", line)
		}
	}
}

// TestRollingLabels moves a Service from one version of Pods to the next: who
// watches sees a ready address at every moment.
func TestRollingLabels(t *testing.T) {
	f := start(t)
	f.run("a", nil)
	f.createService(framework.NewService(namespace, "web", func(service *v1.Service) { service.Spec.Selector["version"] = "1" }))
	pods := make([]*corev1.Pod, 3)
	for i := range pods {
		pods[i] = f.createPod(newPod("web", fmt.Sprint("old", i), func(pod *corev1.Pod) {
			ready(pod)
			pod.Labels["version"] = "1"
		}, fmt.Sprintf("10.1.0.%d", i)))
	}
	f.expect("web", "10.1.0.0:8080 10.1.0.1:8080 10.1.0.2:8080 |", "10.1.0.0:8080/r/s 10.1.0.1:8080/r/s 10.1.0.2:8080/r/s")
	seen := f.watchReady()
	for i := range pods {
		f.createPod(newPod("web", fmt.Sprint("new", i), func(pod *corev1.Pod) {
			ready(pod)
			pod.Labels["version"] = "2"
		}, fmt.Sprintf("10.2.0.%d", i)))
	}
	// One Pod after the other changes its label, then the Service follows.
	f.updatePod(pods[0], label("version", "2"))
	f.expect("web", "10.1.0.1:8080 10.1.0.2:8080 |", "10.1.0.1:8080/r/s 10.1.0.2:8080/r/s")
	f.updatePod(pods[1], label("version", "2"))
	if _, err := f.portolan.PortolanV1().Services(namespace).Patch(t.Context(), "web", types.MergePatchType,
		[]byte(`{"spec":{"selector":{"version":"2"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	// Services and Pods are watched each for itself: the last Pod that the
	// selector had before may leave once the other selector is seen.
	f.eventually("slices of version 2", func() string { return f.countIn("web") }, "5")
	f.eventually("Endpoints of version 2", func() string { return f.endpoints("web") },
		"10.1.0.0:8080 10.1.0.1:8080 10.2.0.0:8080 10.2.0.1:8080 10.2.0.2:8080 |")
	f.updatePod(pods[2], label("version", "2"))
	all := "10.1.0.0:8080 10.1.0.1:8080 10.1.0.2:8080 10.2.0.0:8080 10.2.0.1:8080 10.2.0.2:8080 |"
	f.eventually("Endpoints", func() string { return f.endpoints("web") }, all)
	f.eventually("slices", func() string { return f.countIn("web") }, "6")
	seen()
}

// watchReady watches until what it returns is called, which fails the test if at
// any moment Endpoints or slices had no ready address.
func (f *fixture) watchReady() (stop func()) {
	f.t.Helper()
	options := metav1.ListOptions{ResourceVersion: "0"}
	ofEndpoints, err := f.portolan.PortolanV1().Endpoints(namespace).Watch(f.t.Context(), options)
	if err != nil {
		f.t.Fatal(err)
	}
	ofSlices, err := f.portolan.PortolanV1().EndpointSlices(namespace).Watch(f.t.Context(), options)
	if err != nil {
		f.t.Fatal(err)
	}
	ended := make(chan int)
	// A watch that is being stopped may end with an error.
	var stopping atomic.Bool
	go func() {
		count := 0
		for event := range ofEndpoints.ResultChan() {
			if stopping.Load() {
				continue
			}
			count++
			e, ok := event.Object.(*v1.Endpoints)
			if !ok || event.Type == watch.Deleted || len(e.Subsets) == 0 || len(e.Subsets[0].Addresses) == 0 {
				f.t.Errorf("no ready address: %s %v", event.Type, event.Object)
			}
		}
		ended <- count
	}()
	go func() {
		count := 0
		for event := range ofSlices.ResultChan() {
			if stopping.Load() {
				continue
			}
			count++
			// There are few enough endpoints for one slice.
			slice, ok := event.Object.(*v1.EndpointSlice)
			if !ok || event.Type == watch.Deleted || len(slice.Endpoints) == 0 || !*slice.Endpoints[0].Conditions.Ready {
				f.t.Errorf("no ready endpoint: %s %v", event.Type, event.Object)
			}
		}
		ended <- count
	}()
	return func() {
		stopping.Store(true)
		ofEndpoints.Stop()
		ofSlices.Stop()
		for range 2 {
			if count := <-ended; count < 3 {
				f.t.Errorf("only %d events were seen", count)
			}
		}
	}
}

// TestServiceGone has what was made for a Service go with it, and what was made
// for one that is no more.
func TestServiceGone(t *testing.T) {
	f := start(t)
	meta := func(name, key, value string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{key: value, discoveryv1.LabelServiceName: name}}
	}
	for _, e := range []*v1.Endpoints{
		{ObjectMeta: meta("orphan", rules.LabelManagedBy, rules.ManagedBy)},
		{ObjectMeta: meta("by-hand", "made", "by-hand")},
	} {
		if _, err := f.portolan.PortolanV1().Endpoints(namespace).Create(t.Context(), e, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*v1.EndpointSlice{
		{ObjectMeta: meta("orphan", discoveryv1.LabelManagedBy, "endpointslice-controller.k8s.io"), AddressType: discoveryv1.AddressTypeIPv4},
		{ObjectMeta: meta("mirror", discoveryv1.LabelManagedBy, rules.MirroredBy), AddressType: discoveryv1.AddressTypeIPv4},
		{ObjectMeta: meta("by-hand", "made", "by-hand"), AddressType: discoveryv1.AddressTypeIPv4},
	} {
		if _, err := f.portolan.PortolanV1().EndpointSlices(namespace).Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	f.run("a", nil)
	for _, gone := range []string{"orphan", "mirror"} {
		f.eventually("slices of "+gone, func() string { return fmt.Sprint(len(f.slicesOf(gone))) }, "0")
	}
	f.eventually("Endpoints orphan", func() string { return f.endpoints("orphan") }, "none")

	f.createPod(newPod("web", "a", ready, "10.1.0.1"))
	for range 5 {
		f.createService(framework.NewService(namespace, "web", nil))
		f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")
		if err := f.portolan.PortolanV1().Services(namespace).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	f.eventually("Endpoints web", func() string { return f.endpoints("web") }, "none")
	f.eventually("slices of web", func() string { return fmt.Sprint(len(f.slicesOf("web"))) }, "0")
	if f.endpoints("by-hand") == "none" || len(f.slicesOf("by-hand")) != 1 {
		t.Error("what was made by hand is gone")
	}
}

// TestRepair has somebody else change what the controllers wrote.
func TestRepair(t *testing.T) {
	f := start(t)
	f.run("a", nil)
	f.createService(framework.NewService(namespace, "web", nil))
	f.createPod(newPod("web", "a", ready, "10.1.0.1"))
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")
	ctx := context.Background()
	slice := f.slicesOf("web")[0]
	slice.Endpoints = nil
	if _, err := f.portolan.PortolanV1().EndpointSlices(namespace).Update(ctx, &slice, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")
	edited, err := f.portolan.PortolanV1().Endpoints(namespace).Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	edited.Subsets, edited.Labels = nil, nil
	if _, err := f.portolan.PortolanV1().Endpoints(namespace).Update(ctx, edited, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")
	if err := f.portolan.PortolanV1().EndpointSlices(namespace).Delete(ctx, slice.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.portolan.PortolanV1().Endpoints(namespace).Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")
}
