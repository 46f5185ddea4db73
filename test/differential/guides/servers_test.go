//go:build e2e

// Package guides runs the commands of popular guides to Services, with the real
// kubectl and the guides' manifests. It runs them against a Portolan without a
// cluster and against kube-apiserver 1.36 with kube-controller-manager, and
// compares everything they print.
package guides

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// All addresses of this range have the same length, so the columns of
// tables have the same width. Automatic picks are from its upper part: see
// masks.
const serviceRange = "10.96.100.128/25"

func TestMain(m *testing.M) { framework.QuietMain(m) }

// server is an API server, and what kubectl needs to reach it.
type server struct {
	name, port, kubeconfig string
	// dir is the working directory of commands, with the manifests, and home
	// has kubectl's cache.
	dir, home string
	// path is the PATH with the kubectl of .bin.
	path string
}

// servers are both servers. Portolan's output must be that of kube-apiserver.
type servers struct{ kube, portolan *server }

// start runs both servers with the same ranges. Nothing runs Pods.
func start(t *testing.T) servers {
	t.Helper()
	server := framework.StartAll(t, func(o *options.Options) { o.ClusterIPRanges = []string{serviceRange} })
	kube := startKube(t)
	return servers{
		kube:     newServer(t, "kube-apiserver", kube.Config.Host, kube.Kubeconfig),
		portolan: newServer(t, "Portolan", server.Config.Host, server.Kubeconfig),
	}
}

func newServer(t *testing.T, name, url, kubeconfig string) *server {
	t.Helper()
	at, err := netip.ParseAddrPort(strings.TrimPrefix(url, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{name: name, port: strconv.Itoa(int(at.Port())), kubeconfig: kubeconfig, dir: t.TempDir(), home: t.TempDir()}
	s.path = filepath.Dir(framework.Program(t, "kubectl")) + string(os.PathListSeparator) + os.Getenv("PATH")
	for _, manifests := range []string{"testdata", framework.Path("artifacts", "examples", "core")} {
		if err := os.CopyFS(s.dir, os.DirFS(manifests)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// startKube runs a kube-apiserver, with the controllers that Portolan has as
// well.
func startKube(t *testing.T) *upstream.Server {
	t.Helper()
	kube := framework.StartKube(t, "--service-cluster-ip-range="+serviceRange,
		// Portolan enables it by default.
		"--enable-admission-plugins=DenyServiceExternalIPs")
	framework.StartControllers(t, kube, framework.EndpointControllers, framework.DeletionControllers)
	return kube
}

// in returns the server with another default namespace.
func (s *server) in(t *testing.T, namespace string) *server {
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

// command returns a command line to be run among the manifests. The end of the
// context kills all processes that it starts.
func (s *server) command(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-c", line)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig, "HOME="+s.home, "PATH="+s.path, "LC_ALL=C", "TZ=UTC")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	upstream.EndWithParent(cmd)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}
