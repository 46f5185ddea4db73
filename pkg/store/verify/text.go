package verify

import (
	"fmt"
	"strings"
)

// String formats the report for people: the counts, the warnings, the violations,
// and whether the check passed.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Checked at revision %d:\n", r.Revision)
	fmt.Fprintf(&b, "  %s, holding %s and %s\n", count(r.Services, "Service"), count(r.AddressesHeld, "address"),
		count(r.PortsHeld, "node port"))
	fmt.Fprintf(&b, "  %s (%s)\n", count(r.IPAddresses, "IPAddress"), count(r.ReservedAddresses, "reservation"))
	fmt.Fprintf(&b, "  %s (%s)\n", count(r.NodePorts, "NodePort"), count(r.ReservedPorts, "reservation"))
	fmt.Fprintf(&b, "  %s and %s\n", count(r.ServiceCIDRs, "ServiceCIDR"), count(r.NodePortRanges, "NodePortRange"))
	if r.LoadBalancerIPs+r.LoadBalancerPools+r.LoadBalancerAddressesHeld > 0 {
		fmt.Fprintf(&b, "  %s (%s) and %s, holding %s\n", count(r.LoadBalancerIPs, "LoadBalancerIP"),
			count(r.ReservedLoadBalancerAddresses, "reservation"), count(r.LoadBalancerPools, "LoadBalancerPool"),
			count(r.LoadBalancerAddressesHeld, "load-balancer address"))
	}
	if r.ClaimQuotas > 0 {
		fmt.Fprintf(&b, "  %s\n", count(r.ClaimQuotas, "ClaimQuota"))
	}
	if r.Unreadable > 0 {
		fmt.Fprintf(&b, "  %s that can't be read\n", count(r.Unreadable, "object"))
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", warning)
	}
	for _, violation := range r.Violations {
		fmt.Fprintf(&b, "violation: %s\n", violation)
	}
	if len(r.Violations) == 0 {
		b.WriteString("OK: every value that a Service holds is claimed for it, every claim's holder holds it, and nothing is held twice.\n")
	} else {
		fmt.Fprintf(&b, "FAILED: %s.\n", count(len(r.Violations), "violation"))
	}
	return b.String()
}

func count(n int, what string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(what, "s"):
		what += "es"
	default:
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
