package kubectl

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/harness"
)

// masks hide what differs from one run to the next.
var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b10\.(9[6-9]|10\d|11[01])\.\d+\.\d+\b`), "ADDRESS"},
	{regexp.MustCompile(`\b3(00[89]\d|0[1-9]\d\d|1\d\d\d|2\d\d\d)\b`), "PORT"},
	{regexp.MustCompile(`\b\d+s\b`), "AGE"},
	{regexp.MustCompile(`\btoad-svc-[a-z0-9]{5}\b`), "SLICE"},
	{regexp.MustCompile(`(?m)[ ]+`), " "},
	{regexp.MustCompile(`(?m) $`), ""},
}

// TestREADME runs what the README's console blocks type and compares what it
// says is printed. The server is one of the test's own; make run is only
// checked to exist.
func TestREADME(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	k := startAll(t)
	ran := 0
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		for _, typed := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			line, want, _ := strings.Cut(typed, "\n")
			if target, ok := strings.CutPrefix(line, "make "); ok {
				if out, err := exec.CommandContext(t.Context(), "make", "-C", root, "--dry-run", target).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", line, err, out)
				}
				continue
			}
			if strings.HasPrefix(line, "export KUBECONFIG=") {
				continue
			}
			ran++
			if got := k.shell(line); masked(got) != masked(want) {
				t.Errorf("%s\nprints:\n%s\nthe README says:\n%s", line, got, want)
			}
		}
	}
	if ran < 10 {
		t.Errorf("only %d commands were found in the README", ran)
	}
}

// shell runs a line as a person would type it, with the test's kubectl
// and this binary as portolan.
func (k *kubectl) shell(line string) string {
	k.t.Helper()
	programs := harness.ProgramDir(k.t)
	if err := os.Symlink(k.binary, filepath.Join(programs, "kubectl")); err != nil {
		k.t.Fatal(err)
	}
	cmd := exec.CommandContext(k.t.Context(), "bash", "-c", line)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "KUBECONFIG="+k.kubeconfig, "HOME="+filepath.Dir(k.kubeconfig),
		"PATH="+strings.Join([]string{programs, os.Getenv("PATH")}, string(os.PathListSeparator)))
	// How it ended shows in what it printed, which is compared.
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// masked is the text with its lines sorted: a table is in the order of names
// that are hidden.
func masked(text string) string {
	for _, mask := range masks {
		text = mask.pattern.ReplaceAllString(text, mask.with)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
