//go:build e2e

package moving

import (
	"net/netip"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/netns"
)

// TestMain makes the cluster IPs of a webhook and of an aggregated API addresses of this
// machine, in a network namespace: no kube-proxy routes them.
func TestMain(m *testing.M) {
	netns.Enter(netip.MustParsePrefix("198.18.0.0/24"))
	framework.Main(m)
}
