//go:build e2e && linux

package kubeproxy

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/netns"
)

// lacking is why this machine can't run kube-proxy, nil if it can.
var lacking error

func TestMain(m *testing.M) {
	if lacking = netns.Possible(); lacking == nil {
		netns.Enter()
		lacking = nftables()
	}
	framework.Main(m)
}

// nftables makes and removes a table, with the nft that kube-proxy will call.
func nftables() error {
	output, err := exec.Command(framework.Path(".bin", "nft"),
		"add table inet portolan-test; delete table inet portolan-test").CombinedOutput()
	if err != nil {
		return errors.Join(errors.New("nftables can't be used here"), err, errors.New(string(output)))
	}
	return nil
}

// TestProxy runs what clients of Services see side by side on one node.
func TestProxy(t *testing.T) {
	if lacking != nil {
		t.Skipf("kube-proxy can't run here: %v", lacking)
	}
	g := start(t)
	t.Run("services", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *fixture){
			"cluster IP":    testClusterIP,
			"node port":     testNodePort,
			"affinity":      testAffinity,
			"unready":       testUnready,
			"local traffic": testLocalTraffic,
			"load balancer": testLoadBalancer,
			"pool":          testPool,
			"no endpoints":  testNoEndpoints,
			"ranges":        testRanges,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, g)
			})
		}
	})
	t.Run("restart", func(t *testing.T) { testRestart(t, g) })
}
