package artifacts

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

var readmes = []string{"cluster/README.md", "etcd/README.md"}

func readme(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(sources(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestLinks wants what the README and the pages point at to be there.
func TestLinks(t *testing.T) {
	t.Parallel()
	pages := []string{framework.Path("README.md")}
	for _, pattern := range []string{".github/*.md", "artifacts/*.md", "artifacts/*/*.md"} {
		found, err := filepath.Glob(framework.Path(pattern))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	links := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(string(text), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), link[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
		for _, path := range regexp.MustCompile(`artifacts/[a-z][a-z./-]*[a-z]`).FindAllString(string(text), -1) {
			if _, err := os.Stat(framework.Path(path)); err != nil && path != "artifacts/examples/my-portolan" &&
				!strings.HasPrefix(path, "artifacts/examples/my-portolan/") {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
	if len(pages) < 10 || links < 50 {
		t.Errorf("only %d links on %d pages were found", links, len(pages))
	}
}

// TestIndex wants every page to be in the index.
func TestIndex(t *testing.T) {
	t.Parallel()
	index := readme(t, "README.md")
	pages, err := filepath.Glob(filepath.Join(sources(t), "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if link := "](docs/" + filepath.Base(page) + ")"; !strings.Contains(index, link) {
			t.Errorf("artifacts/README.md does not list %s", filepath.Base(page))
		}
	}
	if text, err := os.ReadFile(framework.Path("README.md")); err != nil || strings.Count(string(text), "\n") > 200 {
		t.Errorf("the README has %d lines, more than fit a first reading (%v)", strings.Count(string(text), "\n"), err)
	}
}

// TestSnippets adds each piece of a kustomization that a README shows to one of
// artifacts/cluster, and wants it to change something.
func TestSnippets(t *testing.T) {
	t.Parallel()
	before := program(t, "kubectl", "kustomize", filepath.Join(sources(t), "cluster"))
	found := 0
	for _, name := range readmes {
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readme(t, name), -1) {
			found++
			dir := t.TempDir()
			base, err := filepath.Rel(dir, filepath.Join(sources(t), "cluster"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("resources: ["+base+"]\n"+block[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			if after := program(t, "kubectl", "kustomize", dir); string(after) == string(before) {
				t.Errorf("%s: this changes nothing:\n%s", name, block[1])
			}
		}
	}
	if found < 2 {
		t.Errorf("only %d snippets were found", found)
	}
}

// TestReplaceMember wants the argument that etcd's README changes by its place to
// be at that place.
func TestReplaceMember(t *testing.T) {
	t.Parallel()
	const place = `"path":"/spec/template/spec/containers/0/args/3","value":"--initial-cluster-state=`
	if text := readme(t, "etcd/README.md"); strings.Count(text, place) != 2 {
		t.Errorf("the README has %s not twice", place)
	}
	template := podTemplate(t, Kustomize(t, "cluster").Get(t, "StatefulSet portolan/portolan-etcd"))
	if got := template.Spec.Containers[0].Args[3]; got != "--initial-cluster-state=new" {
		t.Errorf("at that place is %s", got)
	}
}

// example is a file of artifacts/examples.
func example(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(sources(t), "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestJobs wants the examples that read etcd to be allowed in the namespace, and
// to be of the Deployment's version.
func TestJobs(t *testing.T) {
	t.Parallel()
	deployment := podTemplate(t, Kustomize(t, "cluster").Get(t, "Deployment portolan/portolan"))
	for file, id := range map[string]string{
		"verify-job.yaml": "Job portolan/portolan-verify", "backup-cronjob.yaml": "CronJob portolan/portolan-backup",
	} {
		template := podTemplate(t, parse(t, example(t, file)).Get(t, id))
		for _, problem := range podProblems(template.Spec) {
			t.Errorf("%s: %s", file, problem)
		}
		if got, want := template.Spec.Containers[0].Image, deployment.Spec.Containers[0].Image; got != want {
			t.Errorf("%s: the image is %s, not %s", file, got, want)
		}
	}
}

// restoring is the StatefulSet with the patch that etcd's README restores with.
func restoring(t *testing.T) *appsv1.StatefulSet {
	t.Helper()
	file := filepath.Join(t.TempDir(), "statefulset.yaml")
	if err := os.WriteFile(file, Kustomize(t, "cluster").Get(t, "StatefulSet portolan/portolan-etcd").raw, 0o600); err != nil {
		t.Fatal(err)
	}
	patch := filepath.Join(sources(t), "examples", "etcd-restore.yaml")
	patched := parse(t, program(t, "kubectl", "patch", "--local", "-f", file, "--patch-file="+patch, "-o", "yaml"))
	return Decode(t, patched[0]).(*appsv1.StatefulSet)
}

// TestRestore wants the patch to put before etcd what the namespace allows, and
// to have the snapshot become what etcd starts with.
func TestRestore(t *testing.T) {
	t.Parallel()
	pod := restoring(t).Spec.Template.Spec
	for _, problem := range podProblems(pod) {
		t.Error(problem)
	}
	if len(pod.InitContainers) != 2 || len(pod.Containers) != 1 {
		t.Fatalf("%d containers come before %d", len(pod.InitContainers), len(pod.Containers))
	}
	restore, etcd := pod.InitContainers[1], pod.Containers[0]
	if restore.Image != etcd.Image {
		t.Errorf("%s restores for %s", restore.Image, etcd.Image)
	}
	for _, flag := range []string{"--name=", "--data-dir=", "--initial-cluster-token=", "--initial-cluster=",
		"--initial-advertise-peer-urls="} {
		has := func(arg string) bool { return strings.HasPrefix(arg, flag) }
		i, j := slices.IndexFunc(restore.Args, has), slices.IndexFunc(etcd.Args, has)
		if i < 0 || j < 0 || restore.Args[i] != etcd.Args[j] {
			t.Errorf("%s is not etcd's in %q", flag, restore.Args)
		}
	}
}
