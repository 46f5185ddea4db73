//go:build e2e && linux

package kubeproxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portolan-dev/portolan/test/framework"
)

// enough questions make it next to impossible that one of three backends of
// which each is as likely was passed over by chance: 3 in 100 million million.
const enough = 80

var networks = []string{"tcp", "udp"}

func portOf(port int) intstr.IntOrString { return intstr.FromInt(port) }

// at is an address with a port.
func at(address string, port int32) string {
	return netip.AddrPortFrom(netip.MustParseAddr(address), uint16(port)).String()
}

// awaitBackends waits until an address is answered by just the hosts that are
// named, and by each of them.
func (g *fixture) awaitBackends(t *testing.T, from *host, network, address string, want ...string) {
	t.Helper()
	framework.Eventually(t, fmt.Sprintf("%s asks %s %s", from.name, network, address), func(context.Context) (bool, error) {
		got := map[string]int{}
		for range enough {
			said, err := from.ask(network, address)
			if err != nil {
				return false, err
			}
			got[said.name]++
		}
		for _, name := range want {
			if got[name] == 0 {
				return false, fmt.Errorf("%s was never reached: %v", name, got)
			}
		}
		if len(got) != len(want) {
			return false, fmt.Errorf("others were reached than %v: %v", want, got)
		}
		return true, nil
	})
}

// testClusterIP is reached from a Pod and from outside, in both families.
func testClusterIP(t *testing.T, g *fixture) {
	svc := g.service(t, "web", nil)
	g.run(t, "web", "a", "b", "c")
	for _, address := range svc.Spec.ClusterIPs {
		for _, network := range networks {
			g.awaitBackends(t, g.outside, network, at(address, 80), "a", "b", "c")
			// A client may be a backend itself, and reach itself.
			g.awaitBackends(t, g.pods["a"], network, at(address, 80), "a", "b", "c")
			g.awaitBackends(t, g.self, network, at(address, 80), "a", "b", "c")
		}
	}
}

// testNodePort is reached on the node's addresses.
func testNodePort(t *testing.T, g *fixture) {
	svc := g.service(t, "ported", func(spec *corev1.ServiceSpec) { spec.Type = corev1.ServiceTypeNodePort })
	g.run(t, "ported", "a", "b", "d")
	for _, address := range g.nodeAddresses {
		for i, network := range networks {
			g.awaitBackends(t, g.outside, network, at(address.String(), svc.Spec.Ports[i].NodePort), "a", "b", "d")
		}
	}
}

// testAffinity has one client reach one backend, as long as that is ready.
func testAffinity(t *testing.T, g *fixture) {
	svc := g.service(t, "sticky", func(spec *corev1.ServiceSpec) {
		spec.Type, spec.SessionAffinity = corev1.ServiceTypeNodePort, corev1.ServiceAffinityClientIP
	})
	g.run(t, "sticky", "a", "b", "c")
	for i, network := range networks {
		for _, address := range []string{
			at(svc.Spec.ClusterIPs[0], 80), at(svc.Spec.ClusterIPs[1], 80),
			at(g.nodeAddresses[0].String(), svc.Spec.Ports[i].NodePort), at(g.nodeAddresses[1].String(), svc.Spec.Ports[i].NodePort),
		} {
			var first answer
			framework.Eventually(t, network+" "+address, func(context.Context) (bool, error) {
				var err error
				first, err = g.outside.ask(network, address)
				return err == nil, err
			})
			for range enough {
				if said, err := g.outside.ask(network, address); err != nil || said != first {
					t.Fatalf("%s %s: %v after %v, error %v", network, address, said, first, err)
				}
			}
		}
	}
	first, err := g.outside.ask("tcp", at(svc.Spec.ClusterIP, 80))
	if err != nil {
		t.Fatal(err)
	}
	g.setReady(t, "sticky", first.name, corev1.ConditionFalse)
	framework.Eventually(t, "another backend", func(context.Context) (bool, error) {
		said, err := g.outside.ask("tcp", at(svc.Spec.ClusterIP, 80))
		return said.name != first.name, err
	})
}

// testUnready has nobody reach a Pod that has turned unready, not even through a
// socket that did before.
func testUnready(t *testing.T, g *fixture) {
	svc := g.service(t, "leaving", nil)
	g.run(t, "leaving", "a", "b", "c")
	address := at(svc.Spec.ClusterIP, 80)
	for _, network := range networks {
		g.awaitBackends(t, g.outside, network, address, "a", "b", "c")
	}
	socket, err := g.outside.dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	before, err := question(socket)
	if err != nil {
		t.Fatal(err)
	}
	g.setReady(t, "leaving", before.name, corev1.ConditionFalse)
	changed := time.Now()
	last := changed
	for since := 0; since < enough; since++ {
		said, err := g.outside.ask("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if said.name == before.name {
			since, last = 0, time.Now()
		}
		if time.Since(changed) > framework.Patience {
			t.Fatalf("%s is reached %v after it turned unready", before.name, time.Since(changed))
		}
	}
	t.Logf("%s was reached for the last time %v after it turned unready", before.name, last.Sub(changed).Round(time.Millisecond))
	framework.Eventually(t, "the socket's new backend", func(context.Context) (bool, error) {
		said, err := question(socket)
		return said.name != before.name, err
	})
	left := slices.DeleteFunc([]string{"a", "b", "c"}, func(name string) bool { return name == before.name })
	for _, network := range networks {
		g.awaitBackends(t, g.outside, network, address, left...)
	}
	g.setReady(t, "leaving", before.name, corev1.ConditionTrue)
	g.awaitBackends(t, g.outside, "tcp", address, "a", "b", "c")
}

// testLocalTraffic keeps to the Pods of the node, which see the address of the client, and has
// load balancers know of them.
func testLocalTraffic(t *testing.T, g *fixture) {
	svc := g.service(t, "local", func(spec *corev1.ServiceSpec) {
		spec.Type, spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal
	})
	g.run(t, "local", "a", "d")
	ingress := []string{"203.0.113.201", "2001:db8:3::2"}
	svc = g.setIngress(t, svc, ingress)
	for family, address := range g.nodeAddresses {
		for i, network := range networks {
			for _, to := range []string{at(address.String(), svc.Spec.Ports[i].NodePort), at(ingress[family], 80)} {
				g.awaitBackends(t, g.outside, network, to, "a")
				if said, err := g.outside.ask(network, to); err != nil || said.from != g.outside.addresses[family] {
					t.Errorf("%s %s: %v, error %v", network, to, said, err)
				}
			}
		}
	}
	for _, address := range svc.Spec.ClusterIPs {
		g.awaitBackends(t, g.pods["b"], "tcp", at(address, 80), "a", "d")
	}
	check := "http://" + at(g.nodeAddresses[0].String(), svc.Spec.HealthCheckNodePort) + "/healthz"
	awaitHealth(t, check, http.StatusOK, 1)
	g.setReady(t, "local", "a", corev1.ConditionFalse)
	awaitHealth(t, check, http.StatusServiceUnavailable, 0)
	framework.Eventually(t, "nothing is left on this node", func(context.Context) (bool, error) {
		said, err := g.outside.ask("tcp", at(g.nodeAddresses[0].String(), svc.Spec.Ports[0].NodePort))
		if err == nil {
			return false, fmt.Errorf("%s answered", said.name)
		}
		return true, nil
	})
	g.setReady(t, "local", "a", corev1.ConditionTrue)
	awaitHealth(t, check, http.StatusOK, 1)
}

// awaitHealth waits for what kube-proxy says at a Service's health check port.
func awaitHealth(t *testing.T, url string, code, endpoints int) {
	t.Helper()
	framework.Eventually(t, url, func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, err
		}
		defer response.Body.Close()
		var health struct{ LocalEndpoints int }
		if err := json.NewDecoder(response.Body).Decode(&health); err != nil {
			return false, err
		}
		if response.StatusCode != code || health.LocalEndpoints != endpoints {
			return false, fmt.Errorf("%s with %d endpoints", response.Status, health.LocalEndpoints)
		}
		return true, nil
	})
}

// testLoadBalancer is reached at the addresses of its status, from the source ranges.
func testLoadBalancer(t *testing.T, g *fixture) {
	ingress := []string{"203.0.113.200", "2001:db8:3::1"}
	svc := g.service(t, "balanced", func(spec *corev1.ServiceSpec) {
		spec.Type = corev1.ServiceTypeLoadBalancer
	})
	g.run(t, "balanced", "a", "b", "d")
	svc = g.setIngress(t, svc, ingress)
	for _, address := range ingress {
		for _, network := range networks {
			g.awaitBackends(t, g.outside, network, at(address, 80), "a", "b", "d")
		}
	}
	svc.Spec.LoadBalancerSourceRanges = []string{"198.51.100.0/24", "2001:db8:1::/64"}
	if _, err := g.client.CoreV1().Services(namespace).Update(t.Context(), svc, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, address := range ingress {
		framework.Eventually(t, "somebody outside the ranges", func(context.Context) (bool, error) {
			said, err := g.outside.ask("tcp", at(address, 80))
			if err == nil {
				return false, fmt.Errorf("%s answered", said.name)
			}
			return true, nil
		})
		g.awaitBackends(t, g.pods["c"], "tcp", at(address, 80), "a", "b", "d")
	}
}

// setIngress does what a load balancer's controller does: it says which addresses
// it has. Nobody hands out those of its ranges here.
func (g *fixture) setIngress(t *testing.T, svc *corev1.Service, addresses []string) *corev1.Service {
	t.Helper()
	for _, address := range addresses {
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: address})
	}
	svc, err := g.client.CoreV1().Services(namespace).UpdateStatus(t.Context(), svc, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

// testNoEndpoints is refused at once, as are ports that a Service doesn't have,
// until there are endpoints. Nobody answers when the Service is gone.
func testNoEndpoints(t *testing.T, g *fixture) {
	svc := g.service(t, "empty", nil)
	address := at(svc.Spec.ClusterIP, 80)
	await := func(what, address, want string) {
		t.Helper()
		framework.Eventually(t, what, func(context.Context) (bool, error) {
			said, err := g.outside.ask("tcp", address)
			if err == nil {
				return false, fmt.Errorf("%s answered", said.name)
			}
			return strings.Contains(err.Error(), want), err
		})
	}
	await("nobody is there", address, "connection refused")
	g.run(t, "empty", "a", "b")
	g.awaitBackends(t, g.outside, "tcp", address, "a", "b")
	await("another port", at(svc.Spec.ClusterIP, 81), "connection refused")
	if err := g.client.CoreV1().Services(namespace).Delete(t.Context(), "empty", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// What goes to an address of the ranges that no Service has is dropped.
	await("the Service is gone", address, "timeout")
}

// testRanges has addresses of all ServiceCIDRs that no Service has lead nowhere.
func testRanges(t *testing.T, _ *fixture) {
	for family, ranges := range map[string][]string{
		"ip":  {"203.0.113.0/25", "203.0.113.224/27"},
		"ip6": {"2001:db8:2::/112", "2001:db8:4::/112"},
	} {
		framework.Eventually(t, strings.Join(ranges, " and "), func(ctx context.Context) (bool, error) {
			list := exec.CommandContext(ctx, framework.Program(t, "nft"), "list", "chain", family, "kube-proxy", "cluster-ips-check")
			output, err := list.CombinedOutput()
			for _, want := range append(ranges, "drop") {
				if !strings.Contains(string(output), want) {
					return false, errors.Join(err, errors.New(string(output)))
				}
			}
			return true, err
		})
	}
}
