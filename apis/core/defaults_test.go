package core_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// TestPodDefaults checks the defaults that depend on other fields.
func TestPodDefaults(t *testing.T) {
	scheme := newScheme()
	for image, want := range map[string]corev1.PullPolicy{
		"web": corev1.PullAlways, "web:latest": corev1.PullAlways, "web:1": corev1.PullIfNotPresent,
		"registry.example:5000/web": corev1.PullAlways, "registry.example:5000/web:1": corev1.PullIfNotPresent,
		"web@sha256:0": corev1.PullIfNotPresent,
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{HostNetwork: true,
			Containers: []corev1.Container{{Image: image, Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}}}
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

// TestPodChanges checks the defaults that no schema announces.
func TestPodChanges(t *testing.T) {
	t.Parallel()
	one, two := resource.MustParse("1"), resource.MustParse("2")
	annotations := map[string]string{"pod.beta.kubernetes.io/init-containers": "[]", "a": "b"}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Annotations: annotations},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: ptr.To[int64](-5), Volumes: []corev1.Volume{{}},
			Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
				Limits:   corev1.ResourceList{corev1.ResourceCPU: two, corev1.ResourceMemory: two},
				Requests: corev1.ResourceList{corev1.ResourceCPU: one},
			}}},
		},
	}
	newScheme().Default(pod)
	requests := pod.Spec.Containers[0].Resources.Requests
	if *pod.Spec.TerminationGracePeriodSeconds != 1 || pod.Spec.Volumes[0].EmptyDir == nil || len(pod.Annotations) != 1 ||
		!requests.Cpu().Equal(one) || !requests.Memory().Equal(two) {
		t.Errorf("got %+v", pod)
	}
	if len(annotations) != 2 {
		t.Errorf("the given annotations became %v", annotations)
	}
}

// TestSecretDefaults checks the default type and the move of stringData to data.
func TestSecretDefaults(t *testing.T) {
	scheme := newScheme()
	for name, test := range map[string]struct {
		secret corev1.Secret
		want   map[string]string
	}{
		"nothing":    {corev1.Secret{}, nil},
		"no text":    {corev1.Secret{StringData: map[string]string{}}, nil},
		"text alone": {corev1.Secret{StringData: map[string]string{"a": "x", "b": ""}}, map[string]string{"a": "x", "b": ""}},
		"text counts": {corev1.Secret{StringData: map[string]string{"a": "x"}, Data: map[string][]byte{"a": []byte("y"), "b": []byte("z")}},
			map[string]string{"a": "x", "b": "z"}},
	} {
		list := &corev1.SecretList{Items: []corev1.Secret{*test.secret.DeepCopy()}}
		scheme.Default(&test.secret)
		scheme.Default(list)
		for _, got := range []corev1.Secret{test.secret, list.Items[0]} {
			if got.Type != corev1.SecretTypeOpaque || got.StringData != nil || len(got.Data) != len(test.want) ||
				got.Data != nil && test.want == nil {
				t.Errorf("%s: %+v", name, got)
			}
			for key, want := range test.want {
				if value, there := got.Data[key]; !there || string(value) != want {
					t.Errorf("%s: %s is %q, want %q", name, key, value, want)
				}
			}
		}
	}
	typed := &corev1.Secret{Type: corev1.SecretTypeTLS}
	if scheme.Default(typed); typed.Type != corev1.SecretTypeTLS {
		t.Errorf("the type became %s", typed.Type)
	}
}

// TestNamespaceDefaults checks the default of an empty status.
func TestNamespaceDefaults(t *testing.T) {
	for given, want := range map[corev1.NamespacePhase]corev1.NamespacePhase{
		"": corev1.NamespaceActive, corev1.NamespaceTerminating: corev1.NamespaceTerminating,
	} {
		namespace := &corev1.Namespace{Status: corev1.NamespaceStatus{Phase: given}}
		newScheme().Default(namespace)
		if namespace.Status.Phase != want {
			t.Errorf("%q becomes %q", given, namespace.Status.Phase)
		}
	}
}
