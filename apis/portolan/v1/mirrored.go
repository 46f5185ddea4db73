package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// AnnotationMirroredFrom is the annotation of Services, Endpoints and EndpointSlices
	// that are copies of a cluster's. Its value is the address of the cluster. Only the
	// mirror writes such objects and the annotation itself.
	AnnotationMirroredFrom = "portolan.dev/mirrored-from"
	// AnnotationAdoptedFrom is the annotation of a Service that was a copy of a cluster's
	// before it was adopted. Its value is the address of the cluster.
	AnnotationAdoptedFrom = "portolan.dev/adopted-from"
	// AnnotationReleasedTo is the annotation of a Service, Endpoints or EndpointSlice that
	// the cluster's object of the same name is to replace. Its value is the UID of that
	// object, whose copy the mirror writes here.
	AnnotationReleasedTo = "portolan.dev/released-to"
	// AnnotationReleasedFrom is the annotation of a cluster's Service while it takes the
	// place of one of Portolan's. Its value is the UID of the latter.
	AnnotationReleasedFrom = "portolan.dev/released-from"
)

// ReleasedTo reports whether an object gives way to the copy of the cluster's object with a
// UID.
func ReleasedTo(obj metav1.Object, uid types.UID) bool {
	return uid != "" && obj.GetAnnotations()[AnnotationReleasedTo] == string(uid)
}

// KeptByAPIServers reports whether an object is the Service default/kubernetes. API servers
// keep its address, which Pods and certificates have.
func KeptByAPIServers(service metav1.Object) bool {
	return service.GetNamespace() == metav1.NamespaceDefault && service.GetName() == "kubernetes"
}

// IsMirrored reports whether an object is a copy of a cluster's.
func IsMirrored(obj metav1.Object) bool {
	_, mirrored := MirroredFrom(obj)
	return mirrored
}

// MirroredFrom returns the address of the cluster of which an object is a copy. It
// reports false for an object that is not a copy.
func MirroredFrom(obj metav1.Object) (cluster string, mirrored bool) {
	cluster, mirrored = obj.GetAnnotations()[AnnotationMirroredFrom]
	return cluster, mirrored
}
