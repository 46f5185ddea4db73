package rules

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// maxAddresses is how many addresses an Endpoints object that is made from Pods
// has at most (KEP-752); EndpointSlices have them all.
const maxAddresses = 1000

// truncate leaves out addresses beyond maxAddresses and says whether there were
// any. Those that aren't ready go first. Each subset keeps a part that goes by
// its share of all, rounded up, and the last ones what is left then. What
// remains shares its storage with the argument.
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
	// What has no address left is refused by the API server. Upstream keeps it.
	kept = slices.DeleteFunc(kept, func(s corev1.EndpointSubset) bool {
		return len(s.Addresses)+len(s.NotReadyAddresses) == 0
	})
	return kept, true
}

// shorten leaves room addresses of the total that the subsets have together.
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
