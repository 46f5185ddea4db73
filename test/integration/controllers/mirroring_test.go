package controllers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestMirroring has Endpoints written by hand mirrored, each change once; what
// else there is to them is compared with upstream's controller.
func TestMirroring(t *testing.T) {
	f := start(t)
	f.run("a", nil)
	f.createService(framework.NewService(namespace, "web", func(service *v1.Service) { service.Spec.Selector = nil }))
	endpoints := &v1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: namespace},
		Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: "192.0.2.1"}}, NotReadyAddresses: []corev1.EndpointAddress{{IP: "192.0.2.2"}},
			Ports: []corev1.EndpointPort{{Name: "http", Port: 8080}},
		}},
	}
	endpoints, err := f.portolan.PortolanV1().Endpoints(namespace).Create(t.Context(), endpoints, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.eventually("slices", func() string { return f.slices("web") }, "192.0.2.1:8080/r 192.0.2.2:8080")
	owner := metav1.GetControllerOf(&f.slicesOf("web")[0])
	if owner == nil || owner.APIVersion != "portolan.dev/v1" || owner.Kind != "Endpoints" || owner.UID != endpoints.UID {
		t.Errorf("the owner is %v", owner)
	}
	endpoints.Subsets[0].NotReadyAddresses = nil
	if _, err := f.portolan.PortolanV1().Endpoints(namespace).Update(t.Context(), endpoints, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.eventually("slices", func() string { return f.slices("web") }, "192.0.2.1:8080/r")
	if got := f.writes.take(); !slices.Equal(got, []string{"a POST endpointslices", "a PUT endpointslices"}) {
		t.Errorf("writes %q", got)
	}
	if err := f.portolan.PortolanV1().Endpoints(namespace).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.eventually("slices", func() string { return fmt.Sprint(len(f.slicesOf("web"))) }, "0")
}

// TestMirroringEvents has addresses left out, which an event reports in the cluster as
// events on the Endpoints of portolan.dev.
func TestMirroringEvents(t *testing.T) {
	f := start(t)
	f.run("a", nil)
	f.createService(framework.NewService(namespace, "web", func(service *v1.Service) { service.Spec.Selector = nil }))
	addresses := make([]corev1.EndpointAddress, 1001)
	for i := range addresses {
		addresses[i].IP = fmt.Sprintf("192.0.%d.%d", i/250, i%250)
	}
	if _, err := f.portolan.PortolanV1().Endpoints(namespace).Create(t.Context(), &v1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: namespace},
		Subsets:    []corev1.EndpointSubset{{Addresses: addresses}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.eventually("the event", func() string {
		events, err := f.cluster.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, event := range events.Items {
			lines = append(lines, strings.Join([]string{event.InvolvedObject.APIVersion, event.InvolvedObject.Kind, event.InvolvedObject.Name,
				event.Reason}, " "))
		}
		return strings.Join(slices.Compact(lines), "; ")
	}, "portolan.dev/v1 Endpoints web TooManyAddressesToMirror")
	f.eventually("endpoints in slices", func() string { return f.countIn("web") }, "1000")
}
