//go:build e2e && linux

package kubeproxy

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/netns"
)

const (
	root = "../../.."

	// patience is how long anything may take. A test that waits fails after it.
	patience = 2 * time.Minute
	// pollEvery is how often it is looked whether it is so.
	pollEvery = 20 * time.Millisecond
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
	nft, err := filepath.Abs(filepath.Join(root, ".bin", "nft"))
	if err != nil {
		return err
	}
	output, err := exec.Command(nft, "add table inet portolan-test; delete table inet portolan-test").CombinedOutput()
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
		for name, test := range map[string]func(*testing.T, *ground){
			"cluster IP":    testClusterIP,
			"node port":     testNodePort,
			"affinity":      testAffinity,
			"unready":       testUnready,
			"local traffic": testLocalTraffic,
			"load balancer": testLoadBalancer,
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

// eventually polls until what is wanted is so. The error says what is instead.
func eventually(t *testing.T, what string, so func(context.Context) (bool, error)) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), pollEvery, patience, true, func(ctx context.Context) (bool, error) {
		done, err := so(ctx)
		// That time is up says less than the answer before.
		if ctx.Err() == nil {
			last = err
		}
		return done, nil
	})
	if err != nil {
		t.Fatalf("%s: %v; the last answer: %v", what, err, last)
	}
}

// directory is where everything is written. It stays if the test fails, with
// the logs in it.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "portolan-proxy-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the logs are in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
