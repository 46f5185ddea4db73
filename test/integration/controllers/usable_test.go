package controllers

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestOnePodDoesNotBlockItsService has Pods beside good ones with values that the
// API rejects in endpoints. The others are endpoints all the same, and an event
// says once what is left out.
func TestOnePodDoesNotBlockItsService(t *testing.T) {
	f := start(t)
	f.run("a", nil)
	f.createService(framework.NewService(namespace, "web", func(service *v1.Service) {
		service.Spec.Ports[0].TargetPort = intstr.FromString("http")
	}))
	open := func(pod *corev1.Pod) {
		ready(pod)
		pod.Spec.Containers = []corev1.Container{
			{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}},
		}
	}
	f.createPod(newPod("web", "good", open, "10.1.0.1"))
	bad := f.createPod(newPod("web", "bad", open, "169.254.7.7"))
	f.createPod(newPod("web", "loopback", open, "127.0.0.1"))
	f.createPod(newPod("web", "unparsable", open, "here"))
	f.createPod(newPod("web", "unspecified", open, "0.0.0.0"))
	f.createPod(newPod("web", "mapped", open, "::ffff:10.1.0.2"))
	f.createPod(newPod("web", "hostname", func(pod *corev1.Pod) {
		open(pod)
		pod.Spec.Hostname, pod.Spec.Subdomain = "A b", "web"
	}, "10.1.0.3"))
	f.createPod(newPod("web", "port", func(pod *corev1.Pod) {
		open(pod)
		pod.Spec.Containers[0].Ports[0].ContainerPort = 70000
	}, "10.1.0.4"))
	f.expect("web", "10.1.0.1:8080 10.1.0.2:8080 10.1.0.3:8080 |", "10.1.0.1:8080/r/s 10.1.0.2:8080/r/s 10.1.0.3:8080/r/s 10.1.0.4/r/s")

	// events are the texts of those of the Service, and how often each was recorded.
	events := func() string {
		list, err := f.cluster.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, event := range list.Items {
			if event.Type == corev1.EventTypeWarning {
				texts = append(texts, fmt.Sprintf("%s/%s %s: %s (%d)", event.InvolvedObject.Kind, event.InvolvedObject.Name, event.Reason,
					event.Message, event.Count))
			}
		}
		return strings.Join(texts, "\n")
	}
	f.eventually("an event", func() string {
		text := events()
		return fmt.Sprint(strings.Contains(text, "Service/web InvalidPodEndpoint: Left out of the endpoints: Pod ") &&
			strings.Contains(text, "; and 3 more (1)"))
	}, "true")
	if text := events(); strings.Contains(text, "Failed") {
		t.Errorf("writes were rejected: %s", text)
	}

	// What the others do is recorded no further.
	before := strings.Count(events(), "InvalidPodEndpoint")
	f.createPod(newPod("web", "more", open, "10.1.0.5"))
	f.expect("web", "10.1.0.1:8080 10.1.0.2:8080 10.1.0.3:8080 10.1.0.5:8080 |",
		"10.1.0.1:8080/r/s 10.1.0.2:8080/r/s 10.1.0.3:8080/r/s 10.1.0.4/r/s 10.1.0.5:8080/r/s")
	if text := events(); strings.Count(text, "InvalidPodEndpoint") > before || strings.Contains(text, "(2)") {
		t.Errorf("an event was recorded again:\n%s", text)
	}
	f.updatePod(bad, func(pod *corev1.Pod) {
		pod.Status.PodIP, pod.Status.PodIPs = "10.1.0.7", []corev1.PodIP{{IP: "10.1.0.7"}}
	})
	f.expect("web", "10.1.0.1:8080 10.1.0.2:8080 10.1.0.3:8080 10.1.0.5:8080 10.1.0.7:8080 |",
		"10.1.0.1:8080/r/s 10.1.0.2:8080/r/s 10.1.0.3:8080/r/s 10.1.0.4/r/s 10.1.0.5:8080/r/s 10.1.0.7:8080/r/s")
}
