//go:build e2e

package replay

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestOpenAPIOfCore wants each operation of the core API groups to be described
// as kube-apiserver describes it. The schemas of objects are generated from the
// same types, of a later release. Absent kinds have only the operations that read.
func TestOpenAPIOfCore(t *testing.T) {
	t.Parallel()
	kube := framework.StartKube(t)
	server := framework.Start(t, nil)
	for _, group := range []string{
		"api/v1", "apis/discovery.k8s.io/v1", "apis/networking.k8s.io/v1", "apis/coordination.k8s.io/v1", "apis/events.k8s.io/v1",
	} {
		theirs, ours := paths(t, kube.Config, group), paths(t, server.Config, group)
		if len(ours) == 0 {
			t.Errorf("%s has no paths", group)
		}
		for path, described := range ours {
			want := theirs[path]
			if isAbsent(path) {
				described, want = reads(described), reads(want)
			}
			if !reflect.DeepEqual(described, want) {
				t.Errorf("%s is described as\n%s\nupstream\n%s", path, asJSON(described), asJSON(want))
			}
		}
	}
}

// reads returns the read operation of a path without its parameters, which stand with the
// path if it has no other operation.
func reads(path any) any {
	operations, _ := path.(map[string]any)
	get, _ := operations["get"].(map[string]any)
	delete(get, "parameters")
	return get
}

// isAbsent reports whether a path is of a kind that can only be read.
func isAbsent(path string) bool {
	for _, kind := range registry.AbsentKinds() {
		if slices.Contains(strings.Split(path, "/"), kind.Resource.Resource) {
			return true
		}
	}
	return false
}

// paths returns the paths of a group and their operations.
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
