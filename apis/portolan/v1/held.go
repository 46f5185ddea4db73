package v1

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// HeldAddressLabels returns the labels that the server keeps on the IPAddress of
// the given name while a Service holds it. They are upstream's.
func HeldAddressLabels(name string) map[string]string {
	family := corev1.IPv4Protocol
	if strings.Contains(name, ":") {
		family = corev1.IPv6Protocol
	}
	return map[string]string{LabelIPFamily: string(family), LabelManagedBy: ManagedByAllocator}
}
