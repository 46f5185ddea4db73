package artifacts

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// entries are the directories that a user may apply.
var entries = []string{
	"cluster", "cluster/server", "cluster/cert-manager",
	"etcd", "etcd/members", "etcd/certificates", "etcd/cert-manager",
	"examples/cluster", "examples/cluster-own-etcd", "examples/cluster-gateway",
}

// whole are those entries that leave nothing to be installed by hand, and the
// chart in the same states.
func whole(t *testing.T) map[string]Manifests {
	t.Helper()
	return map[string]Manifests{
		"cluster":              Kustomize(t, "cluster"),
		"cluster/cert-manager": Kustomize(t, "cluster/cert-manager"),
		"examples/cluster":     Kustomize(t, "examples/cluster"),
	}
}

// TestEntries wants every directory with a kustomization to be an entry that
// renders, or a component that one of them uses, and each object to be of its kind's Go type and nothing more.
func TestEntries(t *testing.T) {
	t.Parallel()
	dirs, err := filepath.Glob(filepath.Join(sources(t), "*", "*", "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range dirs {
		dir, err := filepath.Rel(sources(t), filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(entries, filepath.ToSlash(dir)) && !isComponent(t, path) {
			t.Errorf("%s is not tested", dir)
		}
	}
	for _, entry := range entries {
		t.Run(entry, func(t *testing.T) {
			t.Parallel()
			seen := map[string]bool{}
			for _, m := range Kustomize(t, entry) {
				if seen[m.ID()] {
					t.Errorf("%s is there twice", m.ID())
				}
				seen[m.ID()] = true
				if m.GroupVersionKind().Group != CertManager {
					Decode(t, m)
				}
			}
			if len(seen) < 3 {
				t.Errorf("only %d objects were rendered", len(seen))
			}
		})
	}
}

// TestStrict wants the check on fields to find one that is wrong.
func TestStrict(t *testing.T) {
	t.Parallel()
	manifest := Kustomize(t, "cluster").Get(t, "Service portolan/portolan")
	manifest.raw = bytes.Replace(manifest.raw, []byte("targetPort:"), []byte("targetport:"), 1)
	if _, err := decode(manifest); err == nil || !strings.Contains(err.Error(), `unknown field "spec.ports[0].targetport"`) {
		t.Errorf("got %v", err)
	}
}

// TestReferences wants what objects name to be there: namespaces, accounts,
// roles, ConfigMaps, and Secrets but for those that Portolan makes.
func TestReferences(t *testing.T) {
	t.Parallel()
	for name, manifests := range whole(t) {
		t.Run(name, func(t *testing.T) {
			there := map[string]bool{"Namespace /kube-system": true, "Namespace /": true,
				"ClusterRole /system:auth-delegator":                         true,
				"Role kube-system/extension-apiserver-authentication-reader": true}
			for _, m := range manifests {
				there[m.ID()] = true
				if m.GetKind() == "Certificate" {
					there["Secret "+m.GetNamespace()+"/"+m.GetName()] = true
				}
			}
			if there["Job portolan/portolan-certificates"] {
				for _, role := range []string{"client", "peer", "server"} {
					there["Secret portolan/portolan-etcd-"+role] = true
				}
			}
			references := 0
			for _, m := range manifests {
				for _, id := range named(t, m) {
					references++
					if !there[id] {
						t.Errorf("%s names %s, which isn't there", m.ID(), id)
					}
				}
			}
			if references < 30 {
				t.Errorf("only %d references were found", references)
			}
		})
	}
}

// TestImages wants one image of Portolan, and none that another could push to a
// public registry in its name.
func TestImages(t *testing.T) {
	t.Parallel()
	for name, manifests := range whole(t) {
		images := map[string]bool{}
		for _, m := range manifests {
			if template := podTemplate(t, m); template != nil {
				for _, container := range slices.Concat(template.Spec.InitContainers, template.Spec.Containers) {
					images[container.Image] = true
					if !strings.Contains(container.Image, ".") || strings.HasSuffix(container.Image, ":latest") ||
						!strings.Contains(filepath.Base(container.Image), ":") {
						t.Errorf("%s: %s: the image %s has no registry or no version", name, m.ID(), container.Image)
					}
				}
			}
		}
		if len(images) != 2 {
			t.Errorf("%s: images %v", name, images)
		}
	}
}

// TestApplyAgain wants the Job be gone when the next version is applied, however
// soon that is: a Job's image can't be changed.
func TestApplyAgain(t *testing.T) {
	t.Parallel()
	jobs := 0
	for name, manifests := range whole(t) {
		for _, m := range manifests {
			if m.ID() != "Job portolan/portolan-certificates" {
				continue
			}
			jobs++
			seconds, found, err := unstructured.NestedInt64(m.Object, "spec", "ttlSecondsAfterFinished")
			if err != nil || !found || seconds != 0 {
				t.Errorf("%s: it stays for %d seconds (%t), %v", name, seconds, found, err)
			}
		}
	}
	if jobs == 0 {
		t.Error("there is no Job")
	}
}

// isComponent reports whether a kustomization is a component. It wants an example to use
// it: a component renders nothing by itself.
func isComponent(t *testing.T, file string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	used := "../../cluster/" + filepath.Base(filepath.Dir(file)) + "\n"
	return bytes.Contains(text, []byte("\nkind: Component\n")) &&
		bytes.Contains(example(t, "cluster-gateway/kustomization.yaml"), []byte(used))
}
