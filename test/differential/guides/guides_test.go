//go:build e2e

package guides

import (
	"fmt"
	"testing"
)

// TestGuides follows one guide after the other.
func TestGuides(t *testing.T) {
	t.Parallel()
	s := start(t)
	follow := func(name string, guide func(guide)) {
		t.Run(name, func(t *testing.T) { guide(s.follow(t, name)) })
	}
	g := guide{t, s}
	g.types("kubectl create -f node.yaml")
	// Ports that guides name must not be picked before. After their guide they
	// must not be picked either, because masks would hide them.
	follow("toad-nodeport", toadNodePort)
	g.types("kubectl create service nodeport toad --tcp=80 --node-port=30123 --namespace=kube-system")
	follow("nginx", nginx)
	g.types("kubectl create service nodeport nginx --tcp=80 --node-port=31000 --namespace=kube-system")
	t.Run("default", func(t *testing.T) { toad(guide{t, s}) })
	for _, c := range []struct {
		name  string
		guide func(guide)
	}{
		{"toad-affinity", toadAffinity},
		{"toad-ports", toadPorts},
		{"external-service", externalService},
		{"external-name", externalName},
		{"toad-loadbalancer", toadLoadBalancer},
		{"hello", hello},
		{"examples", examples},
		{"expose", expose},
		{"create-service", createService},
		{"edit", edit},
		{"server-side", serverSide},
		{"refused", refused},
		{"watch", watchEndpoints},
		{"namespaces", namespaces},
		{"formats", formats},
		{"raw", raw},
		{"proxy", proxy},
		{"explain", explain},
		{"discovery", discovery},
	} {
		follow(c.name, c.guide)
	}
}

// settles waits until a new Service has a slice: the output of kubectl describe
// depends on that.
func (g guide) settles(service string) {
	g.Helper()
	g.awaits("kubectl get endpointslices -l kubernetes.io/service-name="+service, service+"-")
}

// holder is the exception that Portolan names the holder of a taken address or
// port.
func holder(of string) exception {
	return exception{"is already allocated by services/" + of, "is already allocated"}
}

// ready writes the status of a started Pod, as a kubelet does.
func (g guide) ready(pod, ip string) {
	g.Helper()
	g.types(fmt.Sprintf(`kubectl patch pod %s --subresource=status --type=merge -p '{"status":{"phase":"Running","podIP":"%s","podIPs":[{"ip":"%s"}],"conditions":[{"type":"Ready","status":"True"}]}}'`, pod, ip, ip))
}

// turns writes the result of a readiness probe, as a kubelet does.
func (g guide) turns(pod, ready string) {
	g.Helper()
	g.types(fmt.Sprintf(`kubectl patch pod %s --subresource=status --type=merge -p '{"status":{"conditions":[{"type":"Ready","status":"%s"}]}}'`, pod, ready))
}
