package importer

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Contents holds what a cluster stores, all at one revision.
type Contents struct {
	Services       []corev1.Service
	Endpoints      []corev1.Endpoints
	EndpointSlices []discoveryv1.EndpointSlice
	IPAddresses    []networkingv1.IPAddress
	ServiceCIDRs   []networkingv1.ServiceCIDR
	Namespaces     []corev1.Namespace
	// Ports is the bitmap of node ports. It is nil if the source does not show it.
	Ports *Bitmap
	// Addresses are the bitmaps of cluster IPs, which clusters without IPAddresses have:
	// the primary range, then the secondary one.
	Addresses []Bitmap
	// Unreadable holds the stored values that are in none of the above.
	Unreadable []Unreadable
	Revision   int64
}

// Unreadable is a stored value that can't be read as the object that its key names.
type Unreadable struct {
	// Key is the value's key below the prefix, e.g. "services/specs/default/web".
	Key string
	// Reason completes a sentence that begins with the key.
	Reason string
	// Encrypted means that the value is encrypted at rest.
	Encrypted bool
}

// Summary says in a line how much there is.
func (c *Contents) Summary() string {
	return fmt.Sprintf("%s, %s, %s, %d Endpoints and %s at revision %d",
		count(len(c.Services), "Service", "Services"), count(len(c.IPAddresses), "IPAddress", "IPAddresses"),
		count(len(c.ServiceCIDRs), "ServiceCIDR", "ServiceCIDRs"), len(c.Endpoints),
		count(len(c.EndpointSlices), "EndpointSlice", "EndpointSlices"), c.Revision)
}
