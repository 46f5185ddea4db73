//go:build e2e

package artifacts

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// cluster is a kube-apiserver without nodes.
type cluster struct {
	*framework.Kubectl
	t    *testing.T
	kube *upstream.Server
}

func newCluster(t *testing.T) cluster {
	t.Helper()
	kube := framework.StartKube(t)
	return cluster{framework.NewKubectl(t, kube.Kubeconfig), t, kube}
}

// await polls what kubectl prints until it is as it should be.
func (c cluster) await(as func(string) bool, args ...string) string {
	c.t.Helper()
	out := ""
	framework.Eventually(c.t, "kubectl "+strings.Join(args, " "), func(context.Context) (bool, error) {
		out = c.Run(args...)
		return as(out), errors.New(out)
	})
	return out
}

// TestApply wants a real kube-apiserver to take every object, with its strictest
// validation and with no warning: not of a field that it doesn't know or that is
// deprecated, and not of Pods that the namespace doesn't allow.
func TestApply(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"cluster", "cluster/server", "examples/cluster", "examples/cluster-own-etcd", "examples/cluster-gateway"} {
		t.Run(entry, func(t *testing.T) {
			c := newCluster(t)
			dir := filepath.Join(sources(t), entry)
			generations := func() string {
				return c.Run("get", "-k", dir, "-o", `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.generation}{"\n"}{end}`)
			}
			created := c.Run("apply", "--validate=strict", "-k", dir)
			if want := len(Kustomize(t, entry)); strings.Count(created, " created\n") != want || strings.Count(created, "\n") != want {
				t.Errorf("%d objects are:\n%s", want, created)
			}
			// What is applied again without a change stays as it is: no new Pods.
			before := generations()
			c.Run("apply", "-k", dir)
			if after := generations(); after != before || !strings.Contains(before, "Deployment portolan 1\n") {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			verify := c.Run("create", "--validate=strict", "-f", filepath.Join(sources(t), "examples", "verify-job.yaml"))
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
	framework.StartControllers(t, c.kube, "statefulset-controller")
	c.Run("apply", "-f", filepath.Join(sources(t), "cluster", "server", "namespace.yaml"))
	c.Run("apply", "-k", filepath.Join(sources(t), "etcd", "members"))
	statefulSet := func(path string) []string {
		return []string{"-n", "portolan", "get", "statefulset", "portolan-etcd", "-o", "jsonpath={" + path + "}"}
	}
	revision := statefulSet(".status.updateRevision")
	first := c.await(func(out string) bool { return out != "" }, revision...)
	before := c.Run(statefulSet(".spec.template")...)

	patched := c.Run("-n", "portolan", "patch", "statefulset", "portolan-etcd",
		"--patch-file="+filepath.Join(sources(t), "examples", "etcd-restore.yaml"))
	if patched != "statefulset.apps/portolan-etcd patched\n" {
		t.Errorf("got %s", patched)
	}
	c.await(func(out string) bool { return out != first }, revision...)
	if during := c.Run(statefulSet(".spec.template")...); !strings.Contains(during, "etcdutl") {
		t.Errorf("patched it is %s", during)
	}
	c.Run("-n", "portolan", "rollout", "undo", "statefulset/portolan-etcd")
	if after := c.Run(statefulSet(".spec.template")...); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}
