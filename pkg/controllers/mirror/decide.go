package mirror

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// object is a Service, an Endpoints or an EndpointSlice.
type object interface {
	runtime.Object
	metav1.Object
}

// action is what the mirror does with the object of one name.
type action int

const (
	nothing action = iota
	// write creates a copy or brings it up to date.
	write
	// remove deletes a copy.
	remove
	// nameTaken reports that Portolan's own object has the name.
	nameTaken
)

// decide compares an object of the cluster with Portolan's of the same name. Both may be
// nil. The object that it returns is to be written.
func decide(source, ours object, cluster string) (action, object) {
	own := ours != nil && !v1.IsMirrored(ours)
	switch {
	case source == nil && (ours == nil || own):
		return nothing, nil
	case source == nil:
		return remove, nil
	case ours == nil:
		return write, copyOf(source, cluster)
	case own && v1.ReleasedTo(ours, source.GetUID()):
		wanted := copyOf(source, cluster)
		wanted.SetResourceVersion(ours.GetResourceVersion())
		return write, wanted
	case own && (ours.GetUID() == source.GetUID() || isReleasing(source, ours)):
		// It has been adopted, or is about to be released.
		return nothing, nil
	case own:
		return nameTaken, nil
	case ours.GetUID() != source.GetUID():
		// The source has been created again. Its copy comes when the old one is gone.
		return remove, nil
	}
	// Replicas may know the cluster by several addresses.
	known, _ := v1.MirroredFrom(ours)
	wanted := copyOf(source, known)
	wanted.SetResourceVersion(ours.GetResourceVersion())
	if equality.Semantic.DeepEqual(wanted, ours) {
		return nothing, nil
	}
	return write, wanted
}

// copyOf returns the copy of an object of a cluster.
func copyOf(source object, cluster string) object {
	copied := source.DeepCopyObject().(object)
	copied.SetResourceVersion("")
	copied.SetDeletionTimestamp(nil)
	copied.SetDeletionGracePeriodSeconds(nil)
	annotations := maps.Clone(copied.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1.AnnotationMirroredFrom] = cluster
	copied.SetAnnotations(annotations)
	return copied
}

// isReleasing reports whether an object of the cluster is to take the place of Portolan's
// own, which has not been released to it yet.
func isReleasing(source, ours metav1.Object) bool {
	return source.GetAnnotations()[v1.AnnotationReleasedFrom] == string(ours.GetUID())
}

// ignored reports whether an object of the cluster is never copied: it was written there
// from Portolan, or it elects a leader, which would be a write every few seconds.
func ignored(source metav1.Object) bool {
	_, election := source.GetAnnotations()[resourcelock.LeaderElectionRecordAnnotationKey]
	return election || source.GetLabels()[v1.LabelWrittenBack] == v1.WrittenBack
}

// follows reports whether the endpoints of a Service are copied. source is the cluster's
// Service and ours is Portolan's; both may be nil. skipped is true for a Service of the cluster that is not
// copied.
func follows(source, ours *corev1.Service, skipped bool) bool {
	switch {
	case source == nil:
		return ours == nil
	case skipped || ours == nil:
		return false
	}
	return v1.IsMirrored(ours) && ours.UID == source.UID
}
