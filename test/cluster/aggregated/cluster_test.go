//go:build e2e

// Package aggregated proves that Portolan works in a cluster: a real
// kube-apiserver with its aggregation layer on, the real controllers for
// namespaces, quotas, garbage, Deployments and EndpointSlices, and Portolan as
// artifacts/cluster installs it. There are no nodes. The test runs what the
// Deployment's Pods say, as a kubelet would, with the rights of their account.
//
// Everything runs in a network namespace of its own, on addresses that are set
// aside for documentation (RFC 5737): those of Pods may not be loopback's.
package aggregated

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/netns"
)

func TestMain(m *testing.M) {
	netns.Enter(netip.MustParsePrefix("192.0.2.1/24"))
	framework.Main(m)
}

// TestCluster runs what can go on side by side on one cluster, and then what
// takes parts of it away.
func TestCluster(t *testing.T) {
	g := start(t)
	t.Run("side by side", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *fixture){
			"kubectl":             testKubectl,
			"kubectl watch":       testKubectlWatch,
			"access":              testAccess,
			"range access":        testRangeAccess,
			"same refusal":        testSameRefusal,
			"namespace lifecycle": testNamespaceLifecycle,
			"namespace deletion":  testNamespaceDeletion,
			"resource quota":      testResourceQuota,
			"owners":              testOwners,
			"reservation owners":  testReservationOwners,
			"foreground":          testForeground,
			"orphans":             testOrphans,
			"discovery":           testDiscovery,
			"protobuf":            testProtobuf,
			"service proxy":       testServiceProxy,
			"labeled away":        testLabeledAway,
			"rolling labels":      testRollingLabels,
			"clients":             testClients,
			"audit":               testAudit,
			"policies":            testPolicies,
			"webhooks":            testWebhooks,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, g)
			})
		}
	})
	for _, test := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"the controllers' log", testManagerLog},
		{"installed again", testInstallAgain},
		{"serving certificate", testServingCertificate},
		{"restarts", testRestarts},
		{"rollout", testRollout},
		// A kube-apiserver that starts refuses for a moment what it allows later.
		{"rights", testRights},
		{"gateway", testGateway},
		{"restart of the cluster", testClusterRestart},
		{"uninstall", testUninstall},
		{"the replicas' logs", testReplicaLogs},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, g) })
	}
}

// testManagerLog wants no controller of the cluster to have had trouble with
// the group.
func testManagerLog(t *testing.T, g *fixture) {
	log, err := g.manager.Log()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "portolan.dev") && !strings.HasPrefix(line, "I") {
			t.Errorf("logged: %s", line)
		}
	}
}

// testReplicaLogs wants no replica to have met with what must not happen.
func testReplicaLogs(t *testing.T, g *fixture) {
	logs, err := filepath.Glob(filepath.Join(g.dir, deployment+"-*-*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("%d logs, %v", len(logs), err)
	}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			for _, bad := range []string{"panic: ", "Observed a panic", "DATA RACE", "fatal error: "} {
				if strings.Contains(line, bad) {
					t.Errorf("%s: %s", filepath.Base(log), line)
				}
			}
		}
	}
}
