package rules

import (
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
)

const (
	// LabelManagedBy is the label that names the controller of an Endpoints object.
	LabelManagedBy = "endpoints.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy on Endpoints made from Pods. It is
	// upstream's, because the API server and other programs know it.
	ManagedBy = "endpoint-controller"

	// truncated is the value of the annotation endpoints.kubernetes.io/over-capacity.
	truncated = "truncated"
)

// ignoringVersions compares by value, except the resource versions in object
// references: a Pod's resource version changes with each of its updates.
var ignoringVersions = conversion.EqualitiesOrDie(
	func(a, b corev1.ObjectReference) bool {
		a.ResourceVersion, b.ResourceVersion = "", ""
		return a == b
	},
	func(a, b metav1.Time) bool { return a.Equal(&b) },
)

// Desired returns the Endpoints object of a Service with the given Pods. Current is the
// stored object, or nil; Desired does not modify it. Trigger is the time of the event
// that caused the change, or zero if it is unknown. Changed is false if the stored
// object differs from the desired one in the trigger time at most.
func Desired(service *corev1.Service, pods []*corev1.Pod, current *corev1.Endpoints, trigger time.Time) (desired *corev1.Endpoints,
	changed bool) {
	subsets, over := truncate(Subsets(service, pods))
	if current == nil {
		desired = &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: service.Name, Namespace: service.Namespace}}
	} else {
		desired = current.DeepCopy()
	}
	desired.Subsets = subsets
	desired.Labels = labelsOf(service)
	if desired.Annotations == nil {
		desired.Annotations = map[string]string{}
	}
	if over {
		desired.Annotations[corev1.EndpointsOverCapacity] = truncated
	} else {
		delete(desired.Annotations, corev1.EndpointsOverCapacity)
	}
	if current != nil &&
		equality.Semantic.DeepEqual(current.Annotations, desired.Annotations) &&
		equality.Semantic.DeepEqual(current.Labels, desired.Labels) &&
		(ignoringVersions.DeepEqual(current.Subsets, subsets) || ignoringVersions.DeepEqual(Repack(current.Subsets), subsets)) {
		return desired, false
	}
	if trigger.IsZero() {
		delete(desired.Annotations, corev1.EndpointsLastChangeTriggerTime)
	} else {
		desired.Annotations[corev1.EndpointsLastChangeTriggerTime] = trigger.UTC().Format(time.RFC3339Nano)
	}
	return desired, true
}

// labelsOf returns the labels of a Service's Endpoints: the Service's own, the
// controller's, and a mark for headless Services.
func labelsOf(service *corev1.Service) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, service.Labels)
	delete(labels, corev1.IsHeadlessService)
	if !hasClusterIP(service) {
		labels[corev1.IsHeadlessService] = ""
	}
	labels[LabelManagedBy] = ManagedBy
	return labels
}
