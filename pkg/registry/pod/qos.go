package pod

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// classOf returns the class of service of a new Pod (upstream's
// pkg/apis/core/helper/qos). It is guaranteed if each container has limits and requests
// just these, or if the Pod as a whole does.
func classOf(spec *corev1.PodSpec) corev1.PodQOSClass {
	var parts []corev1.ResourceRequirements
	if spec.Resources != nil {
		parts = append(parts, *spec.Resources)
	} else {
		for _, container := range slices.Concat(spec.Containers, spec.InitContainers) {
			parts = append(parts, container.Resources)
		}
	}
	guaranteed := true
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	for _, part := range parts {
		addComputing(requests, part.Requests)
		if limited := addComputing(limits, part.Limits); limited < len(computing) && (spec.Resources == nil || len(part.Limits) > 0) {
			guaranteed = false
		}
	}
	if len(requests) == 0 && len(limits) == 0 {
		return corev1.PodQOSBestEffort
	}
	if !guaranteed || len(requests) != len(limits) {
		return corev1.PodQOSBurstable
	}
	for name, request := range requests {
		if limit, found := limits[name]; !found || limit.Cmp(request) != 0 {
			return corev1.PodQOSBurstable
		}
	}
	return corev1.PodQOSGuaranteed
}

// computing lists the resources that decide.
var computing = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}

// addComputing adds the resources that decide to a sum, and returns how many there are.
func addComputing(sum, list corev1.ResourceList) (found int) {
	for _, name := range computing {
		quantity := list[name]
		if quantity.Cmp(resource.Quantity{}) <= 0 {
			continue
		}
		total := sum[name].DeepCopy()
		total.Add(quantity)
		sum[name] = total
		found++
	}
	return found
}
