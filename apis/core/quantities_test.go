package core

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestQuantitiesAreCapped(t *testing.T) {
	t.Parallel()
	const most = "9223372036854775807"
	for text, want := range map[string]string{
		"1e999999999": most, "-1e99999": "-" + most, "0e999999999": "0", "1e19": most,
		"1": "1", "250m": "250m", "1Gi": "1Gi", "12e6": "12e6", "100E": "100E", "1n": "1n", "2000001n": "2000001n",
	} {
		listed := want
		if rounded, ok := map[string]string{"1n": "1m", "2000001n": "3m"}[text]; ok {
			listed = rounded
		}
		quantity := resource.MustParse(text)
		node := corev1.Node{Status: corev1.NodeStatus{Capacity: corev1.ResourceList{"cpu": quantity.DeepCopy()}}}
		setNodeDefaults(&node)
		size := quantity.DeepCopy()
		pod := corev1.Pod{Spec: corev1.PodSpec{
			Overhead: corev1.ResourceList{"cpu": quantity.DeepCopy()},
			Volumes:  []corev1.Volume{{VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size}}}},
			Containers: []corev1.Container{{
				Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": quantity.DeepCopy()}},
				Env: []corev1.EnvVar{{ValueFrom: &corev1.EnvVarSource{
					ResourceFieldRef: &corev1.ResourceFieldSelector{Divisor: quantity.DeepCopy()},
				}}},
			}},
		}}
		setPodDefaults(&pod)
		container := pod.Spec.Containers[0]
		for where, test := range map[string]struct {
			got  resource.Quantity
			want string
		}{
			"capacity": {node.Status.Capacity["cpu"], listed}, "allocatable": {node.Status.Allocatable["cpu"], listed},
			"overhead": {pod.Spec.Overhead["cpu"], listed}, "limit": {container.Resources.Limits["cpu"], listed},
			"size": {*pod.Spec.Volumes[0].EmptyDir.SizeLimit, want}, "divisor": {container.Env[0].ValueFrom.ResourceFieldRef.Divisor, want},
		} {
			if test.got.String() != test.want {
				t.Errorf("%s %s becomes %s, want %s", where, text, test.got.String(), test.want)
			}
			// With an uncapped quantity this would not terminate.
			equality.Semantic.DeepEqual(test.got, resource.MustParse("3"))
		}
	}
}
