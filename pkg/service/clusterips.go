package service

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	netutils "k8s.io/utils/net"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// OpenClusterIP is an address that a Service needs and does not have.
type OpenClusterIP struct {
	// Index in spec.ipFamilies and in spec.clusterIPs, which may be shorter.
	Index int
	// Family of the address.
	Family corev1.IPFamily
}

// OpenClusterIPs returns the addresses that the Service needs and does not have, one for
// each of its IP families without an address. DefaultIPFamilies must have set the families.
func OpenClusterIPs(service *v1.Service) []OpenClusterIP {
	if !NeedsClusterIP(service) {
		return nil
	}
	var open []OpenClusterIP
	for i, family := range service.Spec.IPFamilies {
		if i >= len(service.Spec.ClusterIPs) || service.Spec.ClusterIPs[i] == "" {
			open = append(open, OpenClusterIP{Index: i, Family: family})
		}
	}
	return open
}

// ClusterIPs returns the addresses that the Service claims, in canonical form: two
// spellings of an address are one claim. Upstream compares spellings, and so it releases
// addresses that are in use. Texts that are not addresses, such as None, are left out.
// Leading zeros, which old Services may have, are read as decimal.
func ClusterIPs(service *v1.Service) []netip.Addr {
	if !NeedsClusterIP(service) {
		return nil
	}
	spellings := service.Spec.ClusterIPs
	if len(spellings) == 0 {
		// Stored before clusterIPs existed, and not yet normalized.
		spellings = []string{service.Spec.ClusterIP}
	}
	var claims []netip.Addr
	for _, spelling := range spellings {
		addr, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(spelling))
		if addr = addr.Unmap(); ok && !slices.Contains(claims, addr) {
			claims = append(claims, addr)
		}
	}
	return claims
}
