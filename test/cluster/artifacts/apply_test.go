//go:build e2e

package artifacts

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// cluster is a kube-apiserver without nodes.
type cluster struct {
	t    *testing.T
	kube *upstream.Server
}

func newCluster(t *testing.T) cluster {
	t.Helper()
	programs := upstream.Programs{KubeAPIServer: filepath.Join(root(), ".bin", "kube-apiserver"), Etcd: filepath.Join(root(), ".bin", "etcd")}
	kube, err := upstream.StartKube(t.Context(), programs, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kube.Stop)
	return cluster{t, kube}
}

// kubectl is what kubectl says, warnings included.
func (c cluster) kubectl(args ...string) string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), filepath.Join(root(), ".bin", "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kube.Kubeconfig, "HOME="+c.t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// await polls what kubectl says until it is as it should be.
func (c cluster) await(as func(string) bool, args ...string) string {
	c.t.Helper()
	out := ""
	err := wait.PollUntilContextTimeout(c.t.Context(), 100*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		out = c.kubectl(args...)
		return as(out), nil
	})
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// TestApply wants a real kube-apiserver to take every object, with its strictest
// validation and with no warning: not of a field that it doesn't know or that is
// deprecated, and not of Pods that the namespace doesn't allow.
func TestApply(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"cluster", "cluster/server", "examples/cluster", "examples/cluster-own-etcd"} {
		t.Run(entry, func(t *testing.T) {
			c := newCluster(t)
			dir := filepath.Join(sources(t), entry)
			generations := func() string {
				return c.kubectl("get", "-k", dir, "-o", `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.generation}{"\n"}{end}`)
			}
			created := c.kubectl("apply", "--validate=strict", "-k", dir)
			if want := len(Kustomize(t, entry)); strings.Count(created, " created\n") != want || strings.Count(created, "\n") != want {
				t.Errorf("%d objects are:\n%s", want, created)
			}
			// What is applied again without a change stays as it is: no new Pods.
			before := generations()
			c.kubectl("apply", "-k", dir)
			if after := generations(); after != before || !strings.Contains(before, "Deployment portolan 1\n") {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			verify := c.kubectl("create", "--validate=strict", "-f", filepath.Join(sources(t), "examples", "verify-job.yaml"))
			if verify != "job.batch/portolan-verify created\n" {
				t.Errorf("got %s", verify)
			}
		})
	}
}

// TestUndo wants the patch that restores a snapshot to be taken with no warning,
// and to be undone as etcd's README says.
func TestUndo(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	manager, err := upstream.Launch("kube-controller-manager", t.TempDir(), filepath.Join(root(), ".bin", "kube-controller-manager"),
		"--kubeconfig="+c.kube.Kubeconfig, "--controllers=statefulset-controller", "--leader-elect=false", "--secure-port=0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(manager.Stop)
	c.kubectl("apply", "-f", filepath.Join(sources(t), "cluster", "server", "namespace.yaml"))
	c.kubectl("apply", "-k", filepath.Join(sources(t), "etcd", "members"))
	statefulSet := func(path string) []string {
		return []string{"-n", "portolan", "get", "statefulset", "portolan-etcd", "-o", "jsonpath={" + path + "}"}
	}
	revision := statefulSet(".status.updateRevision")
	first := c.await(func(out string) bool { return out != "" }, revision...)
	before := c.kubectl(statefulSet(".spec.template")...)

	patched := c.kubectl("-n", "portolan", "patch", "statefulset", "portolan-etcd",
		"--patch-file="+filepath.Join(sources(t), "examples", "etcd-restore.yaml"))
	if patched != "statefulset.apps/portolan-etcd patched\n" {
		t.Errorf("got %s", patched)
	}
	c.await(func(out string) bool { return out != first }, revision...)
	if during := c.kubectl(statefulSet(".spec.template")...); !strings.Contains(during, "etcdutl") {
		t.Errorf("patched it is %s", during)
	}
	c.kubectl("-n", "portolan", "rollout", "undo", "statefulset/portolan-etcd")
	if after := c.kubectl(statefulSet(".spec.template")...); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}
