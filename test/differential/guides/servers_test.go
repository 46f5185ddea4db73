//go:build e2e

// Package guides types what the guides to Services have people type, with the real
// kubectl and their manifests, at a Portolan without a cluster and at a
// kube-apiserver 1.36 with kube-controller-manager, and compares all that is printed.
package guides

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

const (
	root     = "../../.."
	patience = time.Minute
	// All addresses of this range are equally long, and so are then the columns of
	// a table. Services that name none get one from the upper part: see masks.
	serviceRange = "10.96.100.128/25"
)

func TestMain(m *testing.M) { framework.QuietMain(m) }

// side is an API server, and how kubectl finds it.
type side struct {
	name, port, kubeconfig string
	// dir is where commands are typed, among the manifests, and home where kubectl
	// keeps its cache.
	dir, home string
	// path is the PATH with the kubectl that is meant.
	path string
}

// sides are who is asked: kube has the say.
type sides struct{ kube, portolan *side }

// start runs both servers, with the same ranges and nobody who runs Pods.
func start(t *testing.T) sides {
	t.Helper()
	for _, name := range []string{"kubectl", "kube-apiserver", "kube-controller-manager", "etcd"} {
		if _, err := os.Stat(program(t, name)); err != nil {
			t.Fatalf("%v: run make e2e, which builds it", err)
		}
	}
	server := framework.StartAll(t, func(o *options.Options) { o.ClusterIPRanges = []string{serviceRange} })
	kube := startKube(t)
	return sides{
		kube:     newSide(t, "kube-apiserver", kube.Config.Host, kube.Kubeconfig),
		portolan: newSide(t, "Portolan", server.Config.Host, server.Kubeconfig),
	}
}

func newSide(t *testing.T, name, url, kubeconfig string) *side {
	t.Helper()
	at, err := netip.ParseAddrPort(strings.TrimPrefix(url, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	s := &side{name: name, port: strconv.Itoa(int(at.Port())), kubeconfig: kubeconfig, dir: t.TempDir(), home: t.TempDir()}
	s.path = filepath.Dir(program(t, "kubectl")) + string(os.PathListSeparator) + os.Getenv("PATH")
	for _, manifests := range []string{"testdata", filepath.Join(root, "artifacts", "examples", "core")} {
		if err := os.CopyFS(s.dir, os.DirFS(manifests)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// startKube runs a kube-apiserver with the controllers that Portolan has its own of.
func startKube(t *testing.T) *upstream.Server {
	t.Helper()
	dir := t.TempDir()
	kube, err := upstream.StartKube(t.Context(), upstream.Programs{KubeAPIServer: program(t, "kube-apiserver"), Etcd: program(t, "etcd")},
		dir, "--service-cluster-ip-range="+serviceRange,
		// Portolan has it on unless it is told otherwise.
		"--enable-admission-plugins=DenyServiceExternalIPs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kube.Stop)
	manager, err := upstream.Launch("kube-controller-manager", dir, program(t, "kube-controller-manager"),
		"--kubeconfig="+kube.Kubeconfig, "--secure-port=0", "--leader-elect=false",
		"--controllers=endpoints-controller,endpointslice-controller,endpointslice-mirroring-controller,namespace-controller,garbage-collector-controller")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		manager.Stop()
		if t.Failed() {
			t.Log(manager.Explain(errors.New("kube-controller-manager was stopped")))
		}
	})
	return kube
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, ".bin", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// in is the side as somebody sees it who works in a namespace.
func (s *side) in(t *testing.T, namespace string) *side {
	t.Helper()
	config, err := clientcmd.LoadFromFile(s.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts[config.CurrentContext].Namespace = namespace
	there := *s
	there.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, there.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return &there
}

// command is a line as a person would type it among the manifests. All that it
// starts ends with the context.
func (s *side) command(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-c", line)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig, "HOME="+s.home, "PATH="+s.path, "LC_ALL=C", "TZ=UTC")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}
