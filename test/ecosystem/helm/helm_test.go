// Package helm tests the server with Helm, which the Makefile builds from its module.
package helm

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/test/framework"
)

func TestMain(m *testing.M) { framework.Main(m) }

// helm runs Helm as the administrator of a server.
type helm struct {
	t *testing.T
	// driver is where Helm records its releases.
	driver, kubeconfig, home string
}

func (h helm) run(args ...string) string {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), framework.Program(h.t, "helm"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+h.kubeconfig, "HOME="+h.home, "HELM_DRIVER="+h.driver)
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestRelease installs, upgrades, rolls back and uninstalls a release, which Helm records
// in Secrets or in ConfigMaps.
func TestRelease(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	client := kubernetes.NewForConfigOrDie(s.Config).CoreV1()
	for _, driver := range []string{"secret", "configmap"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			h := helm{t, driver, s.Kubeconfig, t.TempDir()}
			chart, name := "testdata/chart", "web-"+driver
			expectPort := func(want string) {
				t.Helper()
				config, err := client.ConfigMaps("default").Get(ctx, name, metav1.GetOptions{})
				if err != nil || config.Data["port"] != want {
					t.Errorf("the ConfigMap has %v, want port %s, error %v", config.Data, want, err)
				}
			}
			h.run("install", name, chart, "--wait", "--timeout=2m")
			expectPort("80")
			h.run("upgrade", name, chart, "--wait", "--timeout=2m", "--set=port=8080")
			expectPort("8080")
			h.run("rollback", name, "1", "--wait", "--timeout=2m")
			expectPort("80")
			if history := h.run("history", name); strings.Count(history, "\n") != 4 || !strings.Contains(history, "Rollback to 1") {
				t.Errorf("the history is\n%s", history)
			}
			records := metav1.ListOptions{LabelSelector: "owner=helm,name=" + name}
			secrets, err := client.Secrets("default").List(ctx, records)
			if err != nil {
				t.Fatal(err)
			}
			configMaps, err := client.ConfigMaps("default").List(ctx, records)
			if err != nil {
				t.Fatal(err)
			}
			stored := map[string]int{"secret": len(secrets.Items), "configmap": len(configMaps.Items)}
			if stored[driver] != 3 || len(secrets.Items)+len(configMaps.Items) != 3 {
				t.Errorf("the releases are in %v", stored)
			}
			h.run("uninstall", name, "--wait", "--timeout=2m")
			if _, err := client.Services("default").Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("the Service after uninstall: %v", err)
			}
		})
	}
}
