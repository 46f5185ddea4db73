//go:build e2e

package replay

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// TestOpenAPIOfCore wants each operation of the core API groups described as
// kube-apiserver describes it. What the objects are like is generated from the
// same types, of a later release.
func TestOpenAPIOfCore(t *testing.T) {
	t.Parallel()
	bin, err := filepath.Abs(filepath.Join(root, ".bin"))
	if err != nil {
		t.Fatal(err)
	}
	programs := upstream.Programs{KubeAPIServer: filepath.Join(bin, "kube-apiserver"), Etcd: filepath.Join(bin, "etcd")}
	kube, err := upstream.StartKube(t.Context(), programs, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kube.Stop)
	server := framework.Start(t, nil)
	for _, group := range []string{
		"api/v1", "apis/discovery.k8s.io/v1", "apis/networking.k8s.io/v1", "apis/coordination.k8s.io/v1", "apis/events.k8s.io/v1",
	} {
		theirs, ours := paths(t, kube.Config, group), paths(t, server.Config, group)
		if len(ours) == 0 {
			t.Errorf("%s has no paths", group)
		}
		for path, described := range ours {
			if want := theirs[path]; !reflect.DeepEqual(described, want) {
				t.Errorf("%s is described as\n%s\nupstream\n%s", path, asJSON(described), asJSON(want))
			}
		}
	}
}

// paths are those of a group, with what can be done there.
func paths(t *testing.T, config *rest.Config, group string) map[string]any {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := client.RESTClient().Get().AbsPath("/openapi/v3", group).Do(t.Context()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	return document.Paths
}
