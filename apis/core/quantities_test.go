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
		"1": "1", "250m": "250m", "1Gi": "1Gi", "12e6": "12e6", "100E": "100E", "1n": "1n",
	} {
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
		for where, got := range map[string]resource.Quantity{
			"capacity": node.Status.Capacity["cpu"], "allocatable": node.Status.Allocatable["cpu"],
			"overhead": pod.Spec.Overhead["cpu"], "limit": container.Resources.Limits["cpu"],
			"size": *pod.Spec.Volumes[0].EmptyDir.SizeLimit, "divisor": container.Env[0].ValueFrom.ResourceFieldRef.Divisor,
		} {
			if got.String() != want {
				t.Errorf("%s %s becomes %s, want %s", where, text, got.String(), want)
			}
			// With an uncapped quantity this would not terminate.
			equality.Semantic.DeepEqual(got, resource.MustParse("3"))
		}
	}
}
