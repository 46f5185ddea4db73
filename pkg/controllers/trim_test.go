package controllers

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// TestTrim checks what is left of Pods and Nodes, and that the objects themselves keep
// everything: the watch cache of this process may have them.
func TestTrim(t *testing.T) {
	t.Parallel()
	whole := metav1.ObjectMeta{
		Name: "a", Labels: map[string]string{"app": "a"}, Annotations: map[string]string{"note": "long"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}
	kept := metav1.ObjectMeta{Name: "a", Labels: map[string]string{"app": "a"}}
	ports := []corev1.ContainerPort{{Name: "http", ContainerPort: 80}}
	conditions := []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	allocatable := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
	for name, test := range map[string]struct{ object, want runtime.Object }{
		"Pod": {
			&corev1.Pod{
				ObjectMeta: whole,
				Spec: corev1.PodSpec{NodeName: "n", DNSPolicy: corev1.DNSDefault, Containers: []corev1.Container{
					{Name: "auth", Image: "auth:1"}, {Name: "web", Image: "web:1", Ports: ports}, {Name: "log", Image: "log:1"},
				}},
				Status: corev1.PodStatus{Phase: corev1.PodRunning, HostIP: "10.0.0.1", PodIP: "10.1.0.1", Conditions: conditions},
			},
			&corev1.Pod{
				ObjectMeta: kept,
				Spec:       corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{}, {Ports: ports}}},
				Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.1.0.1", Conditions: conditions},
			},
		},
		"Node": {
			&corev1.Node{
				ObjectMeta: whole, Spec: corev1.NodeSpec{ProviderID: "p"},
				Status: corev1.NodeStatus{Allocatable: allocatable, Images: []corev1.ContainerImage{{SizeBytes: 1}}},
			},
			&corev1.Node{ObjectMeta: kept, Status: corev1.NodeStatus{Allocatable: allocatable}},
		},
		"Service": {&corev1.Service{ObjectMeta: whole}, &corev1.Service{ObjectMeta: whole}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := test.object.DeepCopyObject()
			got, err := trim(test.object)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if !reflect.DeepEqual(test.object, before) {
				t.Errorf("the object has changed to %+v", test.object)
			}
		})
	}
}
