package core_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestPodDefaults has those that depend on something.
func TestPodDefaults(t *testing.T) {
	scheme := newScheme()
	for image, want := range map[string]corev1.PullPolicy{
		"web": corev1.PullAlways, "web:latest": corev1.PullAlways, "web:1": corev1.PullIfNotPresent,
		"registry.example:5000/web": corev1.PullAlways, "registry.example:5000/web:1": corev1.PullIfNotPresent, "web@sha256:0": corev1.PullIfNotPresent,
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{HostNetwork: true, Containers: []corev1.Container{{Image: image, Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}}}
		scheme.Default(pod)
		container := pod.Spec.Containers[0]
		if container.ImagePullPolicy != want || container.Ports[0].HostPort != 80 || container.Ports[0].Protocol != corev1.ProtocolTCP {
			t.Errorf("%s: %s, ports %+v", image, container.ImagePullPolicy, container.Ports)
		}
	}
	for name, test := range map[string]struct {
		old  string
		list []corev1.PodIP
		want string
	}{
		"the old field alone": {"192.0.2.1", nil, "192.0.2.1"},
		"the list alone":      {"", []corev1.PodIP{{IP: "192.0.2.2"}}, "192.0.2.2"},
		"another in each":     {"192.0.2.1", []corev1.PodIP{{IP: "192.0.2.2"}, {IP: "2001:db8::1"}}, "192.0.2.1"},
	} {
		pod := &corev1.Pod{Status: corev1.PodStatus{PodIP: test.old, PodIPs: test.list}}
		scheme.Default(pod)
		if pod.Status.PodIP != test.want || len(pod.Status.PodIPs) != 1 || pod.Status.PodIPs[0].IP != test.want {
			t.Errorf("%s: %s, %v", name, pod.Status.PodIP, pod.Status.PodIPs)
		}
	}
}
