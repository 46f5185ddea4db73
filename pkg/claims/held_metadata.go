package claims

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxMetadataSize bounds the metadata of a held claim that its Service rewrites. The
// Service writes all of its claims in one transaction, and etcd's default limits for one
// are 1.5 MiB and 128 operations.
const maxMetadataSize = 4 << 10

// checkMetadata describes how an update changes metadata of a held claim that the server
// owns. It returns an empty text if the update does not.
//
// The server owns the labels that it set, and the absence of finalizers and owners: with
// them, something other than the Service would decide when the claim is deleted. A claim
// that got them from an older release may keep or lose them. Nothing is restored
// silently: a client that gets a 200 has written what it sent.
func checkMetadata(before, after contents) string {
	for _, finalizer := range after.meta.Finalizers {
		if !slices.Contains(before.meta.Finalizers, finalizer) {
			return fmt.Sprintf("metadata.finalizers can't get %q", finalizer)
		}
	}
	for _, owner := range after.meta.OwnerReferences {
		known := func(old metav1.OwnerReference) bool { return equality.Semantic.DeepEqual(old, owner) }
		if !slices.ContainsFunc(before.meta.OwnerReferences, known) {
			return fmt.Sprintf("metadata.ownerReferences can't get the %s %q", owner.Kind, owner.Name)
		}
	}
	labels := before.kind.heldLabels(before.meta.Name)
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		want, got := labels[label], after.meta.Labels[label]
		if got != want && got != before.meta.Labels[label] {
			return fmt.Sprintf("metadata.labels[%q] must be %q", label, want)
		}
	}
	if size := after.meta.Size(); before.rewritten() && size > maxMetadataSize && size > before.meta.Size() {
		return fmt.Sprintf("metadata can't exceed %d bytes, managed fields included,", maxMetadataSize)
	}
	return ""
}
