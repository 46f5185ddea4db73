package writeback

import (
	"slices"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func TestReferencesOf(t *testing.T) {
	url := "https://example.com"
	config := func(name string) admissionregistrationv1.WebhookClientConfig {
		return admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "n", Name: name}}
	}
	definition := &unstructured.Unstructured{Object: map[string]any{"kind": "CustomResourceDefinition", "spec": map[string]any{
		"versions": []any{map[string]any{"schema": "large"}},
		"conversion": map[string]any{"webhook": map[string]any{"clientConfig": map[string]any{
			"service": map[string]any{"namespace": "n", "name": "c", "port": int64(443)},
		}}},
	}}}
	trimmed, err := trim(definition)
	if err != nil {
		t.Fatal(err)
	}
	if _, found, _ := unstructured.NestedSlice(trimmed.(*unstructured.Unstructured).Object, "spec", "versions"); found {
		t.Error("the schema is kept")
	}
	for name, tc := range map[string]struct {
		obj  any
		want []string
	}{
		"validating": {&admissionregistrationv1.ValidatingWebhookConfiguration{Webhooks: []admissionregistrationv1.ValidatingWebhook{
			{ClientConfig: config("a")}, {ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url}}, {ClientConfig: config("b")},
		}}, []string{"a", "b"}},
		"mutating": {&admissionregistrationv1.MutatingWebhookConfiguration{
			Webhooks: []admissionregistrationv1.MutatingWebhook{{ClientConfig: config("m")}},
		}, []string{"m"}},
		"definition": {trimmed, []string{"c"}},
		"API": {&unstructured.Unstructured{Object: map[string]any{
			"spec": map[string]any{"service": map[string]any{"namespace": "n", "name": "s"}},
		}}, []string{"s"}},
		"local API":             {&unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"group": "g"}}}, nil},
		"without a conversion":  {&unstructured.Unstructured{Object: map[string]any{}}, nil},
		"of another type":       {&corev1.Service{}, nil},
		"with a broken service": {&unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"service": "x"}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, service := range referencesOf(tc.obj) {
				got = append(got, service.Name)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestReferences(t *testing.T) {
	a, b := types.NamespacedName{Namespace: "n", Name: "a"}, types.NamespacedName{Namespace: "n", Name: "b"}
	r := newReferences()
	one, two := object{"validating", "one"}, object{"mutating", "two"}
	r.set(one, []types.NamespacedName{a, a})
	r.set(two, []types.NamespacedName{a})
	if changed := r.set(one, []types.NamespacedName{b}); len(changed) != 3 {
		t.Errorf("changed: %v", changed)
	}
	if !r.has(a) || !r.has(b) {
		t.Error("a reference is lost")
	}
	r.set(two, nil)
	if r.has(a) || !r.has(b) {
		t.Error("a reference stays")
	}
}

func TestCopies(t *testing.T) {
	from := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "s", UID: "u", Labels: map[string]string{"x": "y"}},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, ClusterIP: "fd00::1", ClusterIPs: []string{"fd00::1", "10.0.0.1"},
			Selector: map[string]string{"a": "b"}, Ports: []corev1.ServicePort{{Port: 443, NodePort: 30443}}},
	}
	copied := copyOf(from)
	if copied.Spec.Selector != nil || copied.Spec.Type != corev1.ServiceTypeClusterIP || copied.Spec.Ports[0].NodePort != 0 ||
		copied.Spec.ClusterIP != "fd00::1" || len(copied.Labels) != 1 || from.Spec.Ports[0].NodePort != 30443 {
		t.Errorf("got %v", copied)
	}
	if !sameCopy(copied, copyOf(from)) {
		t.Error("a copy differs from itself")
	}
	external, ok := externalCopyOf(from)
	if !ok || external.Spec.ExternalName != "10.0.0.1" || external.Spec.ClusterIPs != nil || sameIdentity(external, copied) {
		t.Errorf("got %v", external)
	}
	from.Spec.ClusterIPs = from.Spec.ClusterIPs[:1]
	if _, ok := externalCopyOf(from); ok {
		t.Error("an IPv6 address became a name")
	}
	from.UID = "another"
	if sameIdentity(copied, copyOf(from)) {
		t.Error("a Service that was created again has the copy of the former")
	}
	copied.UID = "copy"
	slice := sliceCopyOf(&discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "s-1", Labels: map[string]string{"x": "y"}, OwnerReferences: []metav1.OwnerReference{{UID: "u"}}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}, copied)
	if len(slice.OwnerReferences) != 1 || slice.OwnerReferences[0].UID != "copy" || slice.Labels[v1.LabelWrittenBack] != v1.WrittenBack ||
		slice.Labels["x"] != "" || !sameSlice(slice, slice.DeepCopy()) {
		t.Errorf("got %v", slice)
	}
}

func TestStatus(t *testing.T) {
	s, name := NewStatus(), types.NamespacedName{Namespace: "n", Name: "s"}
	if !s.conflict(name, "a") || s.conflict(name, "a") || !s.conflict(name, "b") {
		t.Error("a conflict is new when its reason is")
	}
	s.written(name)
	if copies, conflicts := s.Counts(); copies != 1 || conflicts != 0 {
		t.Errorf("%d copies, %d conflicts", copies, conflicts)
	}
	s.reset()
	s.forget(name)
	if copies, conflicts := s.Counts(); copies+conflicts != 0 {
		t.Errorf("%d copies, %d conflicts", copies, conflicts)
	}
}
