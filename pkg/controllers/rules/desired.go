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
	// LabelManagedBy says which controller writes an Endpoints object.
	LabelManagedBy = "endpoints.kubernetes.io/managed-by"
	// ManagedBy is the value of that label on those made from Pods: upstream's,
	// which the API server and others know.
	ManagedBy = "endpoint-controller"

	// truncated is the value of the annotation over-capacity.
	truncated = "truncated"
)

// ignoringVersions compares by value, but for the resource versions of what
// addresses refer to: a Pod's changes with every update of it.
var ignoringVersions = conversion.EqualitiesOrDie(
	func(a, b corev1.ObjectReference) bool {
		a.ResourceVersion, b.ResourceVersion = "", ""
		return a == b
	},
	func(a, b metav1.Time) bool { return a.Equal(&b) },
)

// Desired is the Endpoints object of a Service with the given Pods. Current is
// what is stored, nil if there is none; it is not changed. Trigger is when what
// led to a change happened; zero if that isn't known. Changed is false if what
// is stored will do: then only the time of the change would differ.
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

// labelsOf are the Service's and what tells its Endpoints from those of others.
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
