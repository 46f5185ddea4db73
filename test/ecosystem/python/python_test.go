//go:build e2e

package python

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

// interpreter returns a Python that has the client, and the client's version.
func interpreter(t *testing.T) (python, version string) {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		out, err := exec.CommandContext(t.Context(), python, "-c", "import kubernetes; print(kubernetes.__version__)").Output()
		if err == nil {
			return python, strings.TrimSpace(string(out))
		}
	}
	t.Skip("there is no Python with the Kubernetes client here (Debian's package is python3-kubernetes)")
	return "", ""
}

// TestClient has a program do what controllers in Python do. It ends with an error if an
// answer is not what it should be.
func TestClient(t *testing.T) {
	t.Parallel()
	python, version := interpreter(t)
	t.Logf("the client's version is %s", version)
	s := framework.StartAll(t, nil)
	var stderr strings.Builder
	program := exec.CommandContext(t.Context(), python, "testdata/client.py", s.Kubeconfig)
	program.Stderr = &stderr
	if out, err := program.Output(); err != nil || string(out) != "done\n" {
		t.Errorf("%v\n%s%s", err, out, stderr.String())
	}
}
