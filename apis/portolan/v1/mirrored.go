package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

const (
	// AnnotationMirroredFrom is the annotation of Services, Endpoints and EndpointSlices
	// that are copies of a cluster's. Its value is the address of the cluster. Only the
	// mirror writes such objects and the annotation itself.
	AnnotationMirroredFrom = "portolan.dev/mirrored-from"
	// AnnotationAdoptedFrom is the annotation of a Service that was a copy of a cluster's
	// before it was adopted. Its value is the address of the cluster.
	AnnotationAdoptedFrom = "portolan.dev/adopted-from"
)

// MirroredFrom returns the address of the cluster of which an object is a copy. It
// reports false for an object that is not a copy.
func MirroredFrom(obj metav1.Object) (cluster string, mirrored bool) {
	cluster, mirrored = obj.GetAnnotations()[AnnotationMirroredFrom]
	return cluster, mirrored
}
