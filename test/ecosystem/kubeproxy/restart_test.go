//go:build e2e && linux

package kubeproxy

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// testRestart stops the server, which leaves what was programmed as it is, and has
// one on the same data heard again: of what was there, and of what changes.
func testRestart(t *testing.T, g *fixture) {
	svc := g.service(t, "lasting", nil)
	address := at(svc.Spec.ClusterIPs[0], 80)
	g.run(t, "lasting", "a", "b", "c")
	g.awaitBackends(t, g.outside, "tcp", address, "a", "b", "c")
	if err := g.server.Stop(); err != nil {
		t.Fatal(err)
	}
	g.awaitBackends(t, g.outside, "tcp", address, "a", "b", "c")
	g.serve(t, g.server.Again(t))
	g.setReady(t, "lasting", "b", corev1.ConditionFalse)
	g.awaitBackends(t, g.outside, "tcp", address, "a", "c")
	after := g.service(t, "later", nil)
	g.run(t, "later", "a", "d")
	g.awaitBackends(t, g.outside, "tcp", at(after.Spec.ClusterIPs[1], 80), "a", "d")
}
