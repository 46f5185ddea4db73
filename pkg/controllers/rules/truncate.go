package rules

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// maxAddresses is the most addresses of an Endpoints object that is made from Pods
// (KEP-752). EndpointSlices hold all of them.
const maxAddresses = 1000

// truncate removes addresses beyond maxAddresses and reports whether there were any. It
// removes addresses that are not ready first. Each subset keeps addresses in proportion
// to its size, rounded up; the last subsets get the remainder. The result shares
// storage with the argument.
func truncate(subsets []corev1.EndpointSubset) ([]corev1.EndpointSubset, bool) {
	ready, notReady := 0, 0
	for i := range subsets {
		ready += len(subsets[i].Addresses)
		notReady += len(subsets[i].NotReadyAddresses)
	}
	if ready+notReady <= maxAddresses {
		return subsets, false
	}
	kept := slices.Clone(subsets)
	if ready > maxAddresses {
		shorten(kept, maxAddresses, ready, func(s *corev1.EndpointSubset) *[]corev1.EndpointAddress { return &s.Addresses })
		for i := range kept {
			kept[i].NotReadyAddresses = nil
		}
	} else {
		shorten(kept, maxAddresses-ready, notReady, func(s *corev1.EndpointSubset) *[]corev1.EndpointAddress { return &s.NotReadyAddresses })
	}
	// The API server rejects a subset without addresses. Upstream keeps such subsets.
	kept = slices.DeleteFunc(kept, func(s corev1.EndpointSubset) bool {
		return len(s.Addresses)+len(s.NotReadyAddresses) == 0
	})
	return kept, true
}

// shorten reduces one list of each subset, so that together they hold room addresses
// instead of total.
func shorten(subsets []corev1.EndpointSubset, room, total int, list func(*corev1.EndpointSubset) *[]corev1.EndpointAddress) {
	left := room
	for i := range subsets {
		addresses := list(&subsets[i])
		share := (len(*addresses)*room + total - 1) / total
		share = min(share, left, len(*addresses))
		*addresses = slices.Clip((*addresses)[:share])
		left -= share
	}
}
