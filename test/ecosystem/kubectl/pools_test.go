package kubectl

import (
	"strings"
	"testing"
)

// TestPools types what an administrator of load-balancer addresses does.
func TestPools(t *testing.T) {
	t.Parallel()
	k := start(t)
	k.Run("apply", "--server-side", "-f", "artifacts/examples/load-balancer-pool.yaml")
	k.Run("apply", "-f", "artifacts/examples/load-balancer-team.yaml")
	k.Run("create", "-f", "artifacts/examples/load-balancer-shared.yaml")
	if row := rows(k.Run("get", "lbpool"))["public"]; strings.Join(row[1:6], " ") != "192.0.2.10-192.0.2.19 <none> 10 1 9" {
		t.Errorf("figures: %v", row)
	}
	// Of 32 addresses, .0 and .1 are not for Services.
	if row := rows(k.Run("get", "loadbalancerpools", "-o", "wide"))["team-a"]; strings.Join(row[3:6], " ") !=
		"30,18446744073709551616 0,0 30,18446744073709551616" || row[len(row)-1] != "AcrossNamespaces" {
		t.Errorf("figures: %v", row)
	}
	k.Expect(k.Run("get", "lbip"), "default/dns-tcp,default/dns-udp", "53/TCP,53/UDP", "dns")
	k.Expect(k.Run("describe", "lbpool", "team-a"), "AcrossNamespaces", "198.51.100.0/27")
	k.Expect(k.Run("explain", "lbpool.spec.avoidBuggyIPs"), "GROUP:      portolan.dev", "KIND:       LoadBalancerPool",
		"FIELD: avoidBuggyIPs <boolean>")
	k.Expect(k.Run("explain", "lbip.spec.holders.ports"), "KIND:       LoadBalancerIP", "FIELD: ports <[]LoadBalancerIPPort>")
	k.Expect(k.Fail("delete", "lbpool", "public"), "Error from server (Conflict)")
	k.Expect(k.Fail("create", "-f", "artifacts/examples/load-balancer-outside.yaml"), "the address lies in no LoadBalancerPool")
}
