package claims

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// checkContents says how an update touches what the server owns of the metadata
// of a held claim; it returns an empty text for one that doesn't.
//
// The server owns the labels that it set, and that there are no finalizers and
// no owners: they would say that something other than the Service decides when
// the claim goes. A claim that has them from a release that let them pass may
// keep them or lose them. Nothing is restored silently: a client that is told
// 200 gets what it wrote.
func checkContents(before, after guardedClaim) string {
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
	for _, label := range slices.Sorted(maps.Keys(before.labels)) {
		want, got := before.labels[label], after.meta.Labels[label]
		if got != want && got != before.meta.Labels[label] {
			return fmt.Sprintf("metadata.labels[%q] must be %q", label, want)
		}
	}
	if size := after.meta.Size(); before.rewritten && size > maxMetadataSize && size > before.meta.Size() {
		return fmt.Sprintf("metadata can't exceed %d bytes, managed fields included,", maxMetadataSize)
	}
	return ""
}
