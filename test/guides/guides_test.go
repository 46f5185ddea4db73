//go:build e2e

package guides

import (
	"fmt"
	"testing"
)

// TestGuides follows one guide after the other. Those that name a node port come
// first: once ports are given out that nobody named, the named ones are taken.
func TestGuides(t *testing.T) {
	t.Parallel()
	s := start(t)
	guide{t, s}.types("kubectl create -f node.yaml")
	named := []struct {
		name string
		run  func(guide)
	}{
		{"toad-nodeport", toadNodePort},
		{"nginx", nginx},
		{"examples", examples},
	}
	for _, c := range named {
		t.Run(c.name, func(t *testing.T) { c.run(s.follow(t, c.name)) })
	}
	guide{t, s}.types("kubectl create service nodeport toad --tcp=80 --node-port=30123 --namespace=kube-system")
	guide{t, s}.types("kubectl create service nodeport nginx --tcp=80 --node-port=31000 --namespace=kube-system")
	t.Run("default", func(t *testing.T) { toad(guide{t, s}) })
	for _, c := range []struct {
		name string
		run  func(guide)
	}{
		{"toad-affinity", toadAffinity},
		{"toad-ports", toadPorts},
		{"external-service", externalService},
		{"external-name", externalName},
		{"toad-loadbalancer", toadLoadBalancer},
		{"hello", hello},
		{"expose", expose},
		{"create-service", createService},
		{"edit", edit},
		{"server-side", serverSide},
		{"refused", refused},
		{"watch", watchEndpoints},
		{"formats", formats},
		{"raw", raw},
		{"proxy", proxy},
		{"explain", explain},
		{"discovery", discovery},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(s.follow(t, c.name)) })
	}
}

// holder is what Portolan says more of a taken address or port: whose it is.
func holder(of string) exception {
	return exception{"is already allocated by services/" + of, "is already allocated"}
}

// ready does what a kubelet would, had it started a Pod.
func (g guide) ready(pod, ip string) {
	g.Helper()
	g.types(fmt.Sprintf(`kubectl patch pod %s --subresource=status --type=merge -p '{"status":{"phase":"Running","podIP":"%s","podIPs":[{"ip":"%s"}],"conditions":[{"type":"Ready","status":"True"}]}}'`, pod, ip, ip))
}

// turns does what a kubelet would, whose probe of a Pod has another result.
func (g guide) turns(pod, ready string) {
	g.Helper()
	g.types(fmt.Sprintf(`kubectl patch pod %s --subresource=status --type=merge -p '{"status":{"conditions":[{"type":"Ready","status":"%s"}]}}'`, pod, ready))
}
