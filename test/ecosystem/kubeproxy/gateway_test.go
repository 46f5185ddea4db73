//go:build e2e && linux

package kubeproxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/layouts"
)

const (
	// soon is how fast routing follows a change of a Pod's labels.
	soon = time.Second
	// attempts is how often a change is timed: other processes take the processor, too.
	attempts = 5
	// core and aggregated are the API versions of a Service.
	core, aggregated = "v1", "portolan.dev/v1"
)

// TestGateway has kube-proxy and CoreDNS at a gateway serve its own Services and those of
// the cluster, with kube-controller-manager at kube-apiserver and at the gateway. The
// cluster stores Pods and Nodes.
func TestGateway(t *testing.T) {
	if lacking != nil {
		t.Skipf("kube-proxy can't run here: %v", lacking)
	}
	for name, atGateway := range map[string]bool{"at kube-apiserver": false, "at the gateway": true} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, atGateway)
			t.Run("v1", func(t *testing.T) { g.testService(t, "plain", core, g.cluster.Kubeconfig) })
			t.Run("portolan.dev", func(t *testing.T) { g.testService(t, "own", aggregated, g.cluster.Kube.Kubeconfig) })
			t.Run("mirrored", func(t *testing.T) { g.testService(t, "mirrored", core, g.cluster.Kube.Kubeconfig) })
			t.Run("away", g.testAway)
		})
	}
}

// gatewayFixture is a fixture whose server is a gateway.
type gatewayFixture struct {
	fixture
	cluster *layouts.Cluster
	// dns resolves with CoreDNS.
	dns *net.Resolver
}

func startGateway(t *testing.T, atGateway bool) *gatewayFixture {
	t.Helper()
	g := &gatewayFixture{cluster: layouts.Start(t, layouts.Config{
		KubeFlags: []string{"--service-cluster-ip-range=203.0.113.128/26"}, Mirror: true,
		Gateway: func(o *options.Options) {
			o.ClusterIPRanges, o.NodePortRanges = clusterIPRanges, []string{"28000-29999"}
		},
	})}
	g.client = g.cluster.Client
	g.addHosts(t)
	g.addNodes(t, g.cluster.Kubeconfig)
	deletionAt := g.cluster.Kube.Config.Host
	if atGateway {
		deletionAt = g.cluster.Server.Config.Host
	}
	g.cluster.StartControllers(t, deletionAt, framework.DeletionControllers)
	// The endpoints of mirrored Services are made where the Services are. Portolan makes
	// those of its own.
	g.cluster.StartControllers(t, g.cluster.Kube.Config.Host, framework.EndpointControllers)
	k := framework.NewKubectl(t, g.cluster.Kubeconfig)
	k.Run("create", "clusterrole", "coredns", "--verb=list,watch", "--resource=services,pods,namespaces,endpointslices.discovery.k8s.io")
	runKubeProxy(t, func(kubeconfig string) { g.writePodKubeconfig(t, k, "kube-proxy", "system:node-proxier", kubeconfig) })
	g.runCoreDNS(t, func(kubeconfig string) { g.writePodKubeconfig(t, k, "coredns", "coredns", kubeconfig) })
	return g
}

// writePodKubeconfig writes the kubeconfig of a Pod, as artifacts/docs/gateway-managed.md
// says, with the token of a service account that has one role.
func (g *gatewayFixture) writePodKubeconfig(t *testing.T, k *framework.Kubectl, account, role, kubeconfig string) {
	t.Helper()
	k.Run("create", "serviceaccount", account, "-n", "kube-system")
	k.Run("create", "clusterrolebinding", "test-"+account, "--clusterrole="+role, "--serviceaccount=kube-system:"+account)
	dir := filepath.Dir(kubeconfig)
	example, err := os.ReadFile(framework.Path("artifacts/examples/managed/kubeconfig.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(example)
	for old, with := range map[string]string{
		"https://192.0.2.10:6443":                             g.cluster.Server.Config.Host,
		"/var/run/secrets/kubernetes.io/serviceaccount/token": "token",
	} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("%q is not once in\n%s", old, text)
		}
		text = strings.Replace(text, old, with, 1)
	}
	for file, data := range map[string][]byte{
		kubeconfig: []byte(text), filepath.Join(dir, "token"): []byte(k.Run("create", "token", account, "-n", "kube-system")),
		filepath.Join(dir, "ca.crt"): g.cluster.Authority(),
	} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// runCoreDNS runs CoreDNS with a kubeconfig that addUser writes.
func (g *gatewayFixture) runCoreDNS(t *testing.T, addUser func(kubeconfig string)) {
	t.Helper()
	dir := t.TempDir()
	addUser(filepath.Join(dir, "kubeconfig"))
	corefile := ".:1053 {\n bind 127.0.0.1\n errors\n kubernetes cluster.local {\n  kubeconfig kubeconfig\n  ttl 1\n }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "Corefile"), []byte(corefile), 0o600); err != nil {
		t.Fatal(err)
	}
	g.dns = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:1053")
	}}
	framework.Launch(t, dir, "coredns", "-conf=Corefile")
}

// testService creates a Service as a user does, in one of the API groups, and reaches it.
func (g *gatewayFixture) testService(t *testing.T, app, version, kubeconfig string) {
	manifest := fmt.Sprintf(`{apiVersion: %s, kind: Service, metadata: {name: %s}, spec: {type: NodePort, selector: {app: %s}, ports: [
		{name: tcp, port: 80, targetPort: %d}, {name: udp, protocol: UDP, port: 80, targetPort: %d}]}}`, version, app, app, port, port)
	framework.NewKubectl(t, kubeconfig).Feed(manifest, "create", "-f", "-")
	g.run(t, app, "a", "b")
	var svc *corev1.Service
	framework.Eventually(t, "the Service at the gateway", func(ctx context.Context) (_ bool, err error) {
		svc, err = g.client.CoreV1().Services(namespace).Get(ctx, app, metav1.GetOptions{})
		return err == nil, err
	})
	address := at(svc.Spec.ClusterIP, 80)
	for i, network := range networks {
		g.awaitBackends(t, g.outside, network, address, "a", "b")
		g.awaitBackends(t, g.pods["a"], network, address, "a", "b")
		g.awaitBackends(t, g.outside, network, at(g.nodeAddresses[0].String(), svc.Spec.Ports[i].NodePort), "a", "b")
	}
	framework.Eventually(t, "the name of "+app, func(ctx context.Context) (bool, error) {
		found, err := g.dns.LookupHost(ctx, app+"."+namespace+".svc.cluster.local.")
		return slices.Equal(found, []string{svc.Spec.ClusterIP}), fmt.Errorf("%v, error %w", found, err)
	})
	g.testLabels(t, app, address)
	_, mirrored := svc.Annotations[v1.AnnotationMirroredFrom]
	_, err := g.cluster.Direct.CoreV1().Services(namespace).Get(t.Context(), app, metav1.GetOptions{})
	if inCluster := err == nil; inCluster != mirrored || inCluster != (app == "mirrored") {
		t.Errorf("kube-apiserver has the Service: %v; it is mirrored: %v", inCluster, mirrored)
	}
}

// testLabels takes a Pod out of a Service by its label, at kube-apiserver, and puts it
// back. Of several attempts, the fastest counts.
func (g *gatewayFixture) testLabels(t *testing.T, app, address string) {
	t.Helper()
	fastest := framework.Patience
	for range attempts {
		changed := time.Now()
		g.label(t, app+"-b", "none")
		g.awaitBackends(t, g.outside, "tcp", address, "a")
		took := time.Since(changed)
		g.label(t, app+"-b", app)
		g.awaitBackends(t, g.outside, "udp", address, "a", "b")
		if fastest = min(fastest, took); fastest < soon {
			break
		}
	}
	t.Logf("a Pod without the label was no longer reached after %v", fastest.Round(time.Millisecond))
	if fastest > soon {
		t.Errorf("a Pod without the label was reached for %v", fastest)
	}
}

func (g *gatewayFixture) label(t *testing.T, pod, app string) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{"app":%q}}}`, app)
	_, err := g.cluster.Direct.CoreV1().Pods(namespace).Patch(t.Context(), pod, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// testAway stops kube-apiserver: Services are still served, routed and resolved. Then the
// gateway stops as well, and what is programmed stays.
func (g *gatewayFixture) testAway(t *testing.T) {
	svc := g.service(t, "lasting", nil)
	g.run(t, "lasting", "a", "b")
	address := at(svc.Spec.ClusterIP, 80)
	g.awaitBackends(t, g.outside, "tcp", address, "a", "b")
	g.cluster.Kube.StopAPI()
	services := g.client.CoreV1().Services(namespace)
	svc.Spec.Ports = []corev1.ServicePort{svc.Spec.Ports[0], svc.Spec.Ports[1], {Name: "more", Port: 81, TargetPort: portOf(port)}}
	if _, err := services.Update(t.Context(), svc, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if _, err := g.client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{}); err == nil ||
		!strings.Contains(err.Error(), "the cluster's API server cannot be reached") || time.Since(started) > 5*time.Second {
		t.Errorf("a forwarded request after %v: %v", time.Since(started), err)
	}
	if err := g.cluster.Server.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, network := range networks {
		g.awaitBackends(t, g.outside, network, address, "a", "b")
	}
	if _, err := g.dns.LookupHost(t.Context(), "lasting."+namespace+".svc.cluster.local."); err != nil {
		t.Error(err)
	}
}
