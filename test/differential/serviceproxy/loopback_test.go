package serviceproxy

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const slice = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: NAME, labels: {kubernetes.io/service-name: NAME}}
addressType: FAMILY
endpoints: [{addresses: ["ADDRESS"]}]
ports: [{port: 80}]
`

const endpoints = `
apiVersion: v1
kind: Endpoints
metadata: {name: NAME}
subsets: [{addresses: [{ip: "ADDRESS"}], ports: [{port: 80}]}]
`

func filled(manifest, name, family, address string) string {
	return strings.NewReplacer("NAME", name, "FAMILY", family, "ADDRESS", address).Replace(manifest)
}

// TestLoopbackIsRefused rejects endpoints on loopback unless the network is
// allowed.
func TestLoopbackIsRefused(t *testing.T) {
	t.Parallel()
	for _, networks := range [][]string{nil, {"0.0.0.0/0", "::/0"}, {"126.0.0.0/7"}} {
		k := framework.NewKubectl(t, framework.Start(t, listing(networks...)).Kubeconfig)
		for family, address := range map[string]string{"IPv4": "127.0.0.1", "IPv6": "::1"} {
			reject(k, filled(endpoints, "e", family, address), loopbackRefused)
			reject(k, filled(slice, "s", family, address), loopbackRefused)
		}
	}
	k := framework.NewKubectl(t, framework.Start(t, listing("127.0.0.1/32", "169.254.0.0/16")).Kubeconfig)
	create(k, filled(endpoints, "e", "IPv4", "127.0.0.1"))
	create(k, filled(slice, "s", "IPv4", "127.0.0.1"))
	reject(k, filled(endpoints, "other", "IPv4", "127.0.0.2"), loopbackRefused)
	reject(k, filled(slice, "other", "IPv6", "::1"), loopbackRefused)
	reject(k, filled(endpoints, "other", "IPv4", "169.254.169.254"), "may not be in the link-local range")
	create(k, filled(strings.ReplaceAll(endpoints, "v1", "portolan.dev/v1"), "group", "IPv4", "127.0.0.1"))
}

// TestExample serves the example, with a backend at another port.
func TestExample(t *testing.T) {
	t.Parallel()
	k := framework.NewKubectl(t, framework.StartAll(t, listing("127.0.0.1/32")).Kubeconfig)
	example, err := os.ReadFile(framework.Path("artifacts", "examples", "loopback.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	port := newBackend("backend").serve(t, "127.0.0.1", false)
	create(k, strings.ReplaceAll(string(example), "ort: 8080", "ort: "+port))
	for _, name := range []string{"web:http", "web:80"} {
		if out := k.Run("get", "--raw", services+name+"/proxy/"); !strings.HasPrefix(out, "backend: HTTP/1.1 GET / TLS false") {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// TestLoopbackNoMore stops allowing loopback: stored endpoints remain and other
// fields can change, but requests do not reach them.
func TestLoopbackNoMore(t *testing.T) {
	t.Parallel()
	etcd := framework.StartEtcd(t)
	start := func(networks ...string) *framework.Kubectl {
		return framework.NewKubectl(t, framework.Start(t, func(o *options.Options) {
			framework.On(etcd)(o)
			listing(networks...)(o)
		}).Kubeconfig)
	}
	b := newBackend("backend")
	manifest := strings.NewReplacer("PLAIN", b.serve(t, "127.0.0.1", false), "SECURE", b.serve(t, "127.0.0.1", true)).Replace(web)
	create(start("127.0.0.1/32"), manifest+"---"+filled(slice, "s", "IPv4", "127.0.0.1"))
	k := start("127.0.0.2/32")
	k.Run("label", "endpoints/web", "endpointslice/s", "a=b")
	k.Expect(k.Fail("patch", "endpoints", "web", "--type=json", "-p", `[{"op":"replace","path":"/subsets/0/ports/0/port","value":1}]`),
		loopbackRefused)
	k.Expect(k.Fail("get", "--raw", services+"web:http/proxy/"),
		`no endpoints available for service "web:http": the server has no cluster to ask for Pods, and none of the addresses is in its `+ownCIDR)
}

// TestEndpointsOfService has Services with no endpoints, none ready, none that
// listens, only slices, and endpoints of both families.
func TestEndpointsOfService(t *testing.T) {
	t.Parallel()
	k := framework.NewKubectl(t, framework.Start(t, listing("127.0.0.0/8", "::1/128")).Kubeconfig)
	c := newCaller(t, startProxy(t, k))
	four, six := newBackend("four"), newBackend("six")
	create(k, strings.NewReplacer("FOUR", four.serve(t, "127.0.0.1", false), "SIX", six.serve(t, "::1", false)).Replace(families))

	c.get(services+"none/proxy/", 404, `services \"none\" not found`)
	c.get(services+"slices:80/proxy/", 404, `services \"slices\" not found`)
	c.get(services+"empty/proxy/", 503, `no endpoints available for service \"empty\"`)
	c.get(services+"waiting/proxy/", 503, `no endpoints available for service \"waiting\"`)
	c.get(services+"closed/proxy/", 503, "error trying to reach service: dial tcp 127.0.0.9:1: connect: connection refused")
	c.get(services+"abroad/proxy/", 503, "the server has no cluster to ask for Pods, and none of the addresses is in its "+ownCIDR)
	reached := map[string]bool{}
	framework.Eventually(t, "both families are reached", func(context.Context) (bool, error) {
		for _, name := range []string{"both", "both:80", "http:both:80"} {
			response, text := c.do(http.MethodGet, services+name+"/proxy/", nil, nil)
			if response.StatusCode != http.StatusOK {
				t.Errorf("%s: %d %s", name, response.StatusCode, text)
			}
			backend, _, _ := strings.Cut(text, ":")
			reached[backend] = true
		}
		return reached["four"] && reached["six"], fmt.Errorf("reached were %v", reached)
	})
}

const families = `
{apiVersion: v1, kind: Service, metadata: {name: none}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: slices}, spec: {ports: [{port: 80}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: slices-1, labels: {kubernetes.io/service-name: slices}}
addressType: IPv4
endpoints: [{addresses: ["127.0.0.1"]}]
ports: [{port: FOUR}]
---
{apiVersion: v1, kind: Endpoints, metadata: {name: empty}}
---
{apiVersion: v1, kind: Endpoints, metadata: {name: waiting}, subsets: [{notReadyAddresses: [{ip: 127.0.0.1}], ports: [{port: FOUR}]}]}
---
{apiVersion: v1, kind: Endpoints, metadata: {name: closed}, subsets: [{addresses: [{ip: 127.0.0.9}], ports: [{port: 1}]}]}
---
{apiVersion: v1, kind: Endpoints, metadata: {name: abroad}, subsets: [{addresses: [{ip: 192.0.2.1}], ports: [{port: 80}]}]}
---
{apiVersion: v1, kind: Service, metadata: {name: both}, spec: {ports: [{port: 80}]}}
---
apiVersion: v1
kind: Endpoints
metadata: {name: both}
subsets:
- {addresses: [{ip: 127.0.0.1}], ports: [{port: FOUR}]}
- {addresses: [{ip: "::1"}], ports: [{port: SIX}]}
`

const pod = `
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: web, image: web, ports: [{name: main, containerPort: PORT}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ipFamilyPolicy: PreferDualStack
  ports: [{name: http, port: 80, targetPort: main}]
`

// TestPods has the controllers make the Endpoints, of a Pod on loopback.
func TestPods(t *testing.T) {
	t.Parallel()
	k := framework.NewKubectl(t, framework.StartAll(t, func(o *options.Options) {
		o.ClusterIPRanges = []string{"10.96.0.0/16", "fd00:10:96::/112"}
		o.ServiceProxyAllowCIDRs = []string{"127.0.0.1/32", "::1/128"}
	}).Kubeconfig)
	c := newCaller(t, startProxy(t, k))
	create(k, strings.ReplaceAll(pod, "PORT", newBackend("backend").serve(t, "127.0.0.1", false)))
	path := services + "web:http/proxy/"
	status := func(ready string) {
		t.Helper()
		k.Run("patch", "pod", "web", "--subresource=status", "--type=merge", "-p",
			`{"status":{"phase":"Running","podIP":"127.0.0.1","podIPs":[{"ip":"127.0.0.1"},{"ip":"::1"}],"conditions":[{"type":"Ready","status":"`+ready+`"}]}}`)
	}
	c.await(path, 503, `no endpoints available for service \"web\"`)
	status("True")
	c.await(path, 200, "backend: HTTP/1.1 GET / TLS false")
	c.get(services+"web:80/proxy/a/", 200, "GET /a/")
	c.get(services+"web/proxy/", 503, `no endpoints available for service \"web\"`)
	status("False")
	c.await(path, 503, `no endpoints available for service \"web:http\"`)
	framework.Eventually(t, "there are slices of both families", func(context.Context) (bool, error) {
		addresses := strings.Fields(k.Run("get", "endpointslices", "-o",
			`jsonpath={.items[?(@.metadata.labels.kubernetes\.io/service-name=="web")].endpoints[*].addresses[0]}`))
		return len(addresses) == 2, fmt.Errorf("the addresses are %q", addresses)
	})
}
