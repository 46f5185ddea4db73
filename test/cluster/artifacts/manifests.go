// Package artifacts renders what is installed into a cluster, for the tests of
// the manifests themselves and for those that use them.
package artifacts

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

// CertManager is the API group of objects whose types are not in Decode's scheme.
const CertManager = "cert-manager.io"

// Manifest is one rendered object.
type Manifest struct {
	*unstructured.Unstructured
	raw []byte
}

// ID tells the object from all others: Kind namespace/name.
func (m Manifest) ID() string {
	return fmt.Sprintf("%s %s/%s", m.GetKind(), m.GetNamespace(), m.GetName())
}

// Manifests are what one command installs.
type Manifests []Manifest

// Kustomize renders a directory below artifacts/ as kubectl apply -k does.
func Kustomize(t testing.TB, dir string) Manifests {
	t.Helper()
	return parse(t, program(t, "kubectl", "kustomize", filepath.Join(sources(t), dir)))
}

// Overlay renders artifacts/cluster with some of its components.
func Overlay(t testing.TB, components ...string) Manifests {
	t.Helper()
	dir := t.TempDir()
	cluster, err := filepath.Rel(dir, filepath.Join(sources(t), "cluster"))
	if err != nil {
		t.Fatal(err)
	}
	text := "resources: [" + cluster + "]\ncomponents:\n"
	for _, component := range components {
		text += "- " + filepath.Join(cluster, component) + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return parse(t, program(t, "kubectl", "kustomize", dir))
}

// Chart renders the Helm chart as helm install does, with the given flags.
func Chart(t testing.TB, flags ...string) Manifests {
	t.Helper()
	args := []string{"template", "portolan", filepath.Join(sources(t), "charts", "portolan"), "--namespace=portolan"}
	return parse(t, program(t, "helm", append(args, flags...)...))
}

// Get finds an object by its ID. It fails the test if there is none.
func (ms Manifests) Get(t testing.TB, id string) Manifest {
	t.Helper()
	for _, m := range ms {
		if m.ID() == id {
			return m
		}
	}
	t.Fatalf("there is no %s", id)
	return Manifest{}
}

// ServeArgs are the arguments of the Deployment's container, with the
// ConfigMap's values put in as the kubelet does.
func (ms Manifests) ServeArgs(t testing.TB) []string {
	t.Helper()
	deployment := Decode(t, ms.Get(t, "Deployment portolan/portolan")).(*appsv1.Deployment)
	container := deployment.Spec.Template.Spec.Containers[0]
	var pairs []string
	for _, env := range container.Env {
		value := env.Value
		if env.ValueFrom != nil {
			ref := env.ValueFrom.ConfigMapKeyRef
			settings := Decode(t, ms.Get(t, "ConfigMap portolan/"+ref.Name)).(*corev1.ConfigMap)
			var found bool
			if value, found = settings.Data[ref.Key]; !found {
				t.Fatalf("%s is from %s of the ConfigMap %s, which has no such key", env.Name, ref.Key, ref.Name)
			}
		}
		pairs = append(pairs, "$("+env.Name+")", value)
	}
	expand := strings.NewReplacer(pairs...)
	args := make([]string, len(container.Args))
	for i, arg := range container.Args {
		if args[i] = expand.Replace(arg); strings.Contains(args[i], "$(") {
			t.Fatalf("%s names a variable that the container doesn't have", arg)
		}
	}
	return args
}

// Decode makes the Go type of an object and fails the test if the manifest has
// a field that the type doesn't.
func Decode(t testing.TB, m Manifest) kruntime.Object {
	t.Helper()
	obj, err := decode(m)
	if err != nil {
		t.Fatalf("%s: %v", m.ID(), err)
	}
	return obj
}

func decode(m Manifest) (kruntime.Object, error) {
	types := kruntime.NewScheme()
	for _, add := range []func(*kruntime.Scheme) error{scheme.AddToScheme, apiregistrationv1.AddToScheme} {
		if err := add(types); err != nil {
			return nil, err
		}
	}
	decoder := serializer.NewCodecFactory(types, serializer.EnableStrict).UniversalDeserializer()
	obj, _, err := decoder.Decode(m.raw, nil, nil)
	return obj, err
}

func parse(t testing.TB, rendered []byte) Manifests {
	t.Helper()
	var all Manifests
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(rendered)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		object := map[string]any{}
		if err := yaml.Unmarshal(document, &object); err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		if len(object) > 0 {
			all = append(all, Manifest{Unstructured: &unstructured.Unstructured{Object: object}, raw: document})
		}
	}
}

func program(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	out, err := run(t, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// run runs a program that the Makefile builds. An error has what it complained of.
func run(t testing.TB, name string, args ...string) ([]byte, error) {
	t.Helper()
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(t.Context(), framework.Program(t, name), args...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, &complaints)
	}
	return out.Bytes(), nil
}

// sources is the directory artifacts/. It opens all that is there: go test keeps
// a result for as long as what the test itself opened is unchanged, and doesn't
// see what kubectl and helm read.
func sources(t testing.TB) string {
	t.Helper()
	dir := framework.Path("artifacts")
	if err := filepath.WalkDir(dir, func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
		t.Fatal(err)
	}
	return dir
}
