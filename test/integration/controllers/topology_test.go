package controllers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// createNode makes a Node that is ready and has processors in a zone.
func (f *fixture) createNode(name, zone string) *corev1.Node {
	f.t.Helper()
	node, err := f.cluster.CoreV1().Nodes().Create(f.t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: zone}},
		Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4")},
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	return node
}

// hints writes which zones and nodes a Service's endpoints are meant for.
func (f *fixture) hints(name string) string {
	f.t.Helper()
	var lines []string
	for _, slice := range f.slicesOf(name) {
		for _, endpoint := range slice.Endpoints {
			line := endpoint.Addresses[0]
			if endpoint.Hints != nil {
				for _, zone := range endpoint.Hints.ForZones {
					line += "→" + zone.Name
				}
				for _, node := range endpoint.Hints.ForNodes {
					line += "→" + node.Name
				}
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, " ")
}

// TestTopology has endpoints in two zones, for Services that ask for hints in
// each of the ways there are; then a zone loses what makes hints possible.
func TestTopology(t *testing.T) {
	f := start(t)
	b := f.createNode("node-b", "zone-b")
	f.createNode("node-c", "zone-c")
	for i, node := range []string{"node-b", "node-c", "node-b", "node-c"} {
		if err := f.cluster.Tracker().Add(newPod("web", fmt.Sprint(node, i), func(pod *corev1.Pod) {
			ready(pod)
			pod.Spec.NodeName = node
		}, fmt.Sprintf("10.1.0.%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	// The one of the fixture has no processors, which makes no hints at all.
	if err := f.cluster.CoreV1().Nodes().Delete(t.Context(), "node-a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.run("a", nil)
	ask := map[string]func(*v1.Service){
		"none": func(*v1.Service) {},
		"auto": func(service *v1.Service) {
			service.Annotations = map[string]string{corev1.AnnotationTopologyMode: "Auto"}
		},
		"zone": distribute(corev1.ServiceTrafficDistributionPreferSameZone),
		"node": distribute(corev1.ServiceTrafficDistributionPreferSameNode),
	}
	zones := "10.1.0.0→zone-b 10.1.0.1→zone-c 10.1.0.2→zone-b 10.1.0.3→zone-c"
	want := map[string]string{
		"none": "10.1.0.0 10.1.0.1 10.1.0.2 10.1.0.3", "auto": zones, "zone": zones,
		"node": "10.1.0.0→zone-b→node-b 10.1.0.1→zone-c→node-c 10.1.0.2→zone-b→node-b 10.1.0.3→zone-c→node-c",
	}
	for name, change := range ask {
		f.createService(framework.NewService(namespace, name, func(service *v1.Service) {
			service.Spec.Selector = map[string]string{"app": "web"}
			change(service)
		}))
	}
	for name := range ask {
		f.eventually("hints of "+name, func() string { return f.hints(name) }, want[name])
	}

	if _, err := f.portolan.PortolanV1().Services(namespace).Patch(t.Context(), "zone", types.MergePatchType,
		[]byte(`{"spec":{"trafficDistribution":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	f.eventually("hints that aren't asked for any more", func() string { return f.hints("zone") }, want["none"])
	b.Labels[corev1.LabelTopologyZone] = "zone-c"
	if _, err := f.cluster.CoreV1().Nodes().Update(t.Context(), b, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.eventually("hints where all is in one zone", func() string { return f.hints("auto") }, want["none"])
}

// TestTopologyLater creates a Service that asks for hints while a Node without a zone makes
// them impossible. It gets its hints once that Node is gone.
func TestTopologyLater(t *testing.T) {
	f := start(t)
	f.createNode("node-d", "")
	for i, name := range []string{"node-b", "node-c"} {
		f.createNode(name, fmt.Sprint("zone-", i))
		if err := f.cluster.Tracker().Add(newPod("web", name, func(pod *corev1.Pod) {
			ready(pod)
			pod.Spec.NodeName = name
		}, fmt.Sprintf("10.1.0.%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	f.run("a", nil)
	f.createService(framework.NewService(namespace, "auto", func(service *v1.Service) {
		service.Spec.Selector = map[string]string{"app": "web"}
		service.Annotations = map[string]string{corev1.AnnotationTopologyMode: "Auto"}
	}))
	f.eventually("endpoints without hints", func() string { return f.hints("auto") }, "10.1.0.0 10.1.0.1")
	if err := f.cluster.CoreV1().Nodes().Delete(t.Context(), "node-d", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.eventually("endpoints with hints", func() string { return f.hints("auto") }, "10.1.0.0→zone-0 10.1.0.1→zone-1")
}

func distribute(how string) func(*v1.Service) {
	return func(service *v1.Service) { service.Spec.TrafficDistribution = &how }
}
