//go:build e2e && linux

package kubeproxy

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

const (
	namespace = "default"
	example   = "artifacts/examples/kube-proxy"
	// node is the name that config.yaml says, and elsewhere that of another.
	node, elsewhere = "node-a", "node-b"
	// healthz is where kube-proxy says whether it has written its tables.
	healthz = "http://127.0.0.1:10256/healthz"
)

// clusterIPRanges are those of a new server.
var clusterIPRanges = []string{"203.0.113.0/25", "2001:db8:2::/112"}

// families are those of every Service.
var families = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}

// fixture is a node with kube-proxy and Portolan, four Pods, and somebody outside.
type fixture struct {
	server *framework.Server
	client kubernetes.Interface
	// nodeAddresses are those of node.yaml, IPv4 first.
	nodeAddresses []netip.Addr
	outside       *host
	// self is the node as a client.
	self *host
	// pods are by name; that of the last is on the other node.
	pods map[string]*host
}

func start(t *testing.T) *fixture {
	t.Helper()
	g := &fixture{}
	g.serve(t, func(o *options.Options) { o.ClusterIPRanges = clusterIPRanges })
	g.addHosts(t)
	g.addNodes(t, g.server.Kubeconfig)
	// kube-proxy 1.36 reads ranges that come later, but heeds them within the hour.
	g.addRange(t)
	runKubeProxy(t, func(kubeconfig string) {
		_, stderr, err := framework.Command(t, "user", "add", "kube-proxy", "--group=portolan:readers",
			"--data-dir="+g.server.DataDir, "--out="+kubeconfig)
		if err != nil {
			t.Fatalf("%v: %s", err, stderr)
		}
	})
	return g
}

// addHosts makes somebody outside and the hosts of Pods, and makes the node a router.
func (g *fixture) addHosts(t *testing.T) {
	t.Helper()
	g.nodeAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	g.pods = map[string]*host{}
	forward(t)
	g.outside = newHost(t, "outside", prefixes("192.0.2.1/24", "2001:db8::1/64"), prefixes("192.0.2.100/24", "2001:db8::64/64"))
	for i, name := range []string{"a", "b", "c", "d"} {
		near := prefixes(fmt.Sprintf("198.51.100.%d/31", 2*i+10), fmt.Sprintf("2001:db8:1::%x/127", 2*i+16))
		far := prefixes(fmt.Sprintf("198.51.100.%d/31", 2*i+11), fmt.Sprintf("2001:db8:1::%x/127", 2*i+17))
		g.pods[name] = newHost(t, name, near, far)
		g.pods[name].serve(t)
	}
	g.self = newSelf(t, g.outside.name)
}

// serve starts a server.
func (g *fixture) serve(t *testing.T, change func(*options.Options)) {
	t.Helper()
	g.server = framework.StartAll(t, change)
	client, err := kubernetes.NewForConfig(g.server.Config)
	if err != nil {
		t.Fatal(err)
	}
	g.client = client
}

func prefixes(v4, v6 string) [2]netip.Prefix {
	return [2]netip.Prefix{netip.MustParsePrefix(v4), netip.MustParsePrefix(v6)}
}

// forward makes the node a router, which kube-proxy leaves to the network plugin. It sends no
// redirects: those that a host ignores stop the kernel from refusing connections too.
func forward(t *testing.T) {
	t.Helper()
	for file, value := range map[string]string{
		"ipv4/ip_forward":                  "1",
		"ipv6/conf/all/forwarding":         "1",
		"ipv4/conf/all/send_redirects":     "0",
		"ipv4/conf/default/send_redirects": "0",
	} {
		if err := os.WriteFile(filepath.Join("/proc/sys/net", file), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// addNodes makes this one as the README says, and the other.
func (g *fixture) addNodes(t *testing.T, kubeconfig string) {
	t.Helper()
	framework.NewKubectl(t, kubeconfig).Run("create", "-f", framework.Path(example, "node.yaml"))
	other := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: elsewhere}}
	if _, err := g.client.CoreV1().Nodes().Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// addRange makes a second ServiceCIDR of both families.
func (g *fixture) addRange(t *testing.T) {
	t.Helper()
	more := &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "more"},
		Spec:       networkingv1.ServiceCIDRSpec{CIDRs: []string{"203.0.113.224/27", "2001:db8:4::/112"}},
	}
	if _, err := g.client.NetworkingV1().ServiceCIDRs().Create(t.Context(), more, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// runKubeProxy does what the README says, in a directory that has the example in
// it, and returns when the tables are written. AddUser writes the kubeconfig.
func runKubeProxy(t *testing.T, addUser func(kubeconfig string)) {
	t.Helper()
	dir := framework.Directory(t)
	config, err := os.ReadFile(framework.Path(example, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	addUser(filepath.Join(dir, "kube-proxy.kubeconfig"))
	command := exec.Command(framework.Program(t, "kube-proxy"), "--config=config.yaml")
	command.Env = append(os.Environ(), "PATH="+framework.Path(".bin")+":"+os.Getenv("PATH"))
	kubeProxy := framework.LaunchCommand(t, dir, "kube-proxy", command)
	healthy := func(ctx context.Context) bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, healthz, nil)
		if err != nil {
			return false
		}
		response, err := http.DefaultClient.Do(request)
		return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
	}
	if err := kubeProxy.Await(t.Context(), healthy); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { expectRead(t, kubeProxy) })
}

// expectRead wants kube-proxy to have read everything that it asked for, in a form
// that it understands. Other errors are expected while a server is away.
func expectRead(t *testing.T, kubeProxy *upstream.Process) {
	t.Helper()
	log, err := kubeProxy.Log()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		away := strings.Contains(line, "connection refused") || strings.Contains(line, "cannot be reached")
		if strings.Contains(line, "reflector.go") && !strings.HasPrefix(line, "I") && !away {
			t.Errorf("kube-proxy says: %s", line)
		}
	}
}

// run makes Pods of a Service that are ready. Each is one of the hosts: several
// Pods can share one, with a name of their own.
func (g *fixture) run(t *testing.T, app string, hosts ...string) {
	t.Helper()
	for _, name := range hosts {
		on := node
		if name == "d" {
			on = elsewhere
		}
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: app + "-" + name, Labels: map[string]string{"app": app}},
			Spec:       corev1.PodSpec{NodeName: on, Containers: []corev1.Container{{Name: "web", Image: "registry.example/web:1"}}},
		}
		if _, err := g.client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		g.setReady(t, app, name, corev1.ConditionTrue)
	}
}

// setReady says in the status of a Pod whether it is ready.
func (g *fixture) setReady(t *testing.T, app, name string, ready corev1.ConditionStatus) {
	t.Helper()
	addresses := g.pods[name].addresses
	patch := fmt.Sprintf(`{"status":{"phase":"Running","podIP":%q,"podIPs":[{"ip":%q},{"ip":%q}],"conditions":[{"type":"Ready","status":%q}]}}`,
		addresses[0], addresses[0], addresses[1], ready)
	_, err := g.client.CoreV1().Pods(namespace).Patch(t.Context(), app+"-"+name, types.StrategicMergePatchType, []byte(patch),
		metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
}

// service makes one of both families with a port for TCP and one for UDP.
func (g *fixture) service(t *testing.T, app string, change func(*corev1.ServiceSpec)) *corev1.Service {
	t.Helper()
	policy := corev1.IPFamilyPolicyRequireDualStack
	spec := corev1.ServiceSpec{
		Selector: map[string]string{"app": app}, IPFamilies: families, IPFamilyPolicy: &policy,
		Ports: []corev1.ServicePort{
			{Name: "tcp", Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: portOf(port)},
			{Name: "udp", Protocol: corev1.ProtocolUDP, Port: 80, TargetPort: portOf(port)},
		},
	}
	if change != nil {
		change(&spec)
	}
	svc, err := g.client.CoreV1().Services(namespace).Create(t.Context(),
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: app}, Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return svc
}
