//go:build e2e

package artifacts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/upstream"
)

// TestApply wants a real kube-apiserver to take every object, with its strictest
// validation and with no warning: not of a field that it doesn't know or that is
// deprecated, and not of Pods that the namespace doesn't allow.
func TestApply(t *testing.T) {
	t.Parallel()
	programs := upstream.Programs{KubeAPIServer: filepath.Join(root(), ".bin", "kube-apiserver"), Etcd: filepath.Join(root(), ".bin", "etcd")}
	for _, entry := range []string{"cluster", "cluster/server", "examples/cluster", "examples/cluster-own-etcd"} {
		t.Run(entry, func(t *testing.T) {
			kube, err := upstream.StartKube(t.Context(), programs, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(kube.Stop)
			kubectl := func(args ...string) string {
				cmd := exec.CommandContext(t.Context(), filepath.Join(root(), ".bin", "kubectl"), args...)
				cmd.Env = append(os.Environ(), "KUBECONFIG="+kube.Kubeconfig, "HOME="+t.TempDir())
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
				}
				return string(out)
			}
			dir := filepath.Join(sources(t), entry)
			generations := func() string {
				return kubectl("get", "-k", dir, "-o", `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.generation}{"\n"}{end}`)
			}
			created := kubectl("apply", "--validate=strict", "-k", dir)
			if want := len(Kustomize(t, entry)); strings.Count(created, " created\n") != want || strings.Count(created, "\n") != want {
				t.Errorf("%d objects are:\n%s", want, created)
			}
			// What is applied again without a change stays as it is: no new Pods.
			before := generations()
			kubectl("apply", "-k", dir)
			if after := generations(); after != before || !strings.Contains(before, "Deployment portolan 1\n") {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}
