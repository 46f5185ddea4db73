//go:build e2e

package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/users"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/netns"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

const (
	example   = "artifacts/examples/traefik"
	namespace = corev1.NamespaceDefault
	// What the example says.
	web     = "127.0.0.1:8080"
	secure  = "127.0.0.1:8443"
	dataDir = "portolan-data"
	class   = "traefik"
)

func TestMain(m *testing.M) {
	netns.Enter(netip.MustParsePrefix("192.0.2.0/24"))
	framework.Main(m)
}

// fixture is a Portolan and a Traefik that routes by what it holds.
type fixture struct {
	client  kubernetes.Interface
	kubectl *framework.Kubectl
	traefik *upstream.Process
	// started is how much Traefik had written once it routed.
	started int
}

// start runs both, and makes what toad.yaml has: the class, which is the default,
// and an Ingress.
func start(t *testing.T) *fixture {
	t.Helper()
	s := framework.StartAll(t, nil)
	client, err := kubernetes.NewForConfig(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	g := &fixture{client: client, kubectl: framework.NewKubectl(t, s.Kubeconfig)}
	g.kubectl.Run("create", "-f", framework.Path(example, "toad.yaml"))
	g.runTraefik(t, s)
	return g
}

// runTraefik does what the example says in a directory of the test's own.
func (g *fixture) runTraefik(t *testing.T, s *framework.Server) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(framework.Path(example))); err != nil {
		t.Fatal(err)
	}
	addUser(t, s, dir)
	command := exec.Command(framework.Program(t, "traefik"), "--configFile=traefik.yml")
	command.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(dataDir, "traefik.kubeconfig"))
	// Registered first, it runs last, when Traefik has stopped.
	t.Cleanup(func() {
		if g.traefik != nil {
			g.expectRead(t)
		}
	})
	g.traefik = framework.LaunchCommand(t, dir, "traefik", command)
	// Traefik is ready once it routes.
	g.backend(t, "first", "192.0.2.2")
	g.ingress(t, "first", to("first.example.com", prefix("/", "first", number(80))))
	answers := func(ctx context.Context) bool { return ask(ctx, "first.example.com", "/") == "first" }
	if err := g.traefik.Await(t.Context(), answers); err != nil {
		t.Fatal(err)
	}
	log, err := g.traefik.Log()
	if err != nil {
		t.Fatal(err)
	}
	g.started = len(log)
}

// addUser makes Traefik's user, whose kubeconfig is where the example has it.
func addUser(t *testing.T, s *framework.Server, dir string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, dataDir), 0o700); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, dataDir, "traefik.kubeconfig")
	if _, stderr, err := framework.Command(t, "user", "add", "traefik", "--group="+users.Writers, "--data-dir="+s.DataDir,
		"--out="+out); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
}

// passing are complaints about a moment: Traefik wrote the status of an Ingress
// that had just changed, or knew an Ingress before its Service or its Secret. It
// tries again with the next event. The last one is about rules for any host, which
// are meant.
var passing = []string{
	"the object has been modified", "service not found", "secret default/host-tls does not exist", "No domain found in rule",
}

// expectRead wants Traefik not to complain once it routes, neither of what it
// reads and writes in Portolan nor of what it makes of that.
func (g *fixture) expectRead(t *testing.T) {
	log, err := g.traefik.Log()
	if err != nil {
		t.Fatal(err)
	}
	if t.Failed() {
		t.Logf("Traefik says:\n%s", log)
	}
	for line := range strings.Lines(string(log[g.started:])) {
		complains := strings.Contains(line, "ERR") || strings.Contains(line, "WRN") || strings.Contains(line, "reflector")
		about := func(what string) bool { return strings.Contains(line, what) }
		if complains && !slices.ContainsFunc(passing, about) {
			t.Errorf("Traefik says: %s", line)
		}
	}
}

// backend is a Service with a Pod at each address, which answers with the name of
// the Service or, where there are several, with its own.
func (g *fixture) backend(t *testing.T, name string, addresses ...string) {
	t.Helper()
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": name},
		Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("web")}},
	}}
	if _, err := g.client.CoreV1().Services(namespace).Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for i, address := range addresses {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: podOf(name, i), Labels: map[string]string{"app": name}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: "web", Image: "registry.example/web:1", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8000}},
			}}},
		}
		if _, err := g.client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		says := name
		if len(addresses) > 1 {
			says = pod.Name
		}
		serve(t, net.JoinHostPort(address, "8000"), says)
		g.setReady(t, pod.Name, address, corev1.ConditionTrue)
	}
}

func podOf(service string, i int) string { return fmt.Sprintf("%s-%d", service, i) }

func serve(t *testing.T, address, says string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: framework.Patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := io.WriteString(w, says); err != nil {
			t.Logf("%s: %v", says, err)
		}
	})}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(listener) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// setReady says in the status of a Pod where it is and whether it is ready.
func (g *fixture) setReady(t *testing.T, pod, address string, ready corev1.ConditionStatus) {
	t.Helper()
	patch := fmt.Sprintf(`{"status":{"phase":"Running","podIP":%q,"conditions":[{"type":"Ready","status":%q}]}}`, address, ready)
	if _, err := g.client.CoreV1().Pods(namespace).Patch(t.Context(), pod, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{},
		"status"); err != nil {
		t.Fatal(err)
	}
}

// ingress makes one of the default class.
func (g *fixture) ingress(t *testing.T, name string, rules ...networkingv1.IngressRule) {
	t.Helper()
	made := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.IngressSpec{Rules: rules}}
	if _, err := g.client.NetworkingV1().Ingresses(namespace).Create(t.Context(), made, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// change puts other rules into an Ingress.
func (g *fixture) change(t *testing.T, name string, change func(*networkingv1.IngressSpec)) {
	t.Helper()
	ingresses := g.client.NetworkingV1().Ingresses(namespace)
	framework.Eventually(t, name, func(ctx context.Context) (bool, error) {
		current, err := ingresses.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		change(&current.Spec)
		// Traefik writes the status meanwhile.
		_, err = ingresses.Update(ctx, current, metav1.UpdateOptions{})
		return err == nil, err
	})
}

func to(host string, paths ...networkingv1.HTTPIngressPath) networkingv1.IngressRule {
	return networkingv1.IngressRule{
		Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: paths}},
	}
}

func prefix(path, service string, port networkingv1.ServiceBackendPort) networkingv1.HTTPIngressPath {
	return networkingv1.HTTPIngressPath{Path: path, PathType: ptr.To(networkingv1.PathTypePrefix), Backend: backendOf(service, port)}
}

func exact(path, service string, port networkingv1.ServiceBackendPort) networkingv1.HTTPIngressPath {
	return networkingv1.HTTPIngressPath{Path: path, PathType: ptr.To(networkingv1.PathTypeExact), Backend: backendOf(service, port)}
}

func backendOf(service string, port networkingv1.ServiceBackendPort) networkingv1.IngressBackend {
	return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: service, Port: port}}
}

func number(port int32) networkingv1.ServiceBackendPort {
	return networkingv1.ServiceBackendPort{Number: port}
}

func named(port string) networkingv1.ServiceBackendPort {
	return networkingv1.ServiceBackendPort{Name: port}
}
