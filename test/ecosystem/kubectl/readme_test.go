package kubectl

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

// masks hide what differs from one run to the next.
var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b192\.0\.2\.1\d\b`), "ADDRESS"},
	{regexp.MustCompile(`\b10\.(9[6-9]|10\d|11[0-2])\.\d+\.\d+\b`), "ADDRESS"},
	{regexp.MustCompile(`\b3(00[89]\d|0[1-9]\d\d|1\d\d\d|2\d\d\d)\b`), "PORT"},
	{regexp.MustCompile(framework.Times), "TIME"},
	// A slice's suffix can look like an age.
	{regexp.MustCompile(`\btoad-svc-[a-z0-9]{5}\b`), "SLICE"},
	{regexp.MustCompile(framework.Ages), "AGE"},
	// What is left of 72 hours at once, and a moment later.
	{regexp.MustCompile(`\b(3d|2d23h)\b`), "3 DAYS"},
	{regexp.MustCompile(`(?m)[ ]+`), " "},
	{regexp.MustCompile(`(?m) $`), ""},
}

// TestREADME runs what the console blocks of the README and of every page type, and
// compares what they say is printed. Each page has a server of its own, so a page must
// make what it uses. make run is only checked to exist.
func TestREADME(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(framework.Path("artifacts", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, page := range append(pages, framework.Path("README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		lines := typedLines(string(text))
		if len(lines) == 0 {
			continue
		}
		ran += len(lines)
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			k := startAll(t)
			for _, line := range lines {
				k.try(line)
			}
		})
	}
	if ran < 20 {
		t.Errorf("only %d commands were found", ran)
	}
}

// typed is a command of a page and what the page says that it prints.
type typed struct {
	line, want string
}

// typedLines returns the commands of a page's console blocks.
func typedLines(page string) (lines []typed) {
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(page, -1) {
		for _, text := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			line, want, _ := strings.Cut(text, "\n")
			if !strings.HasPrefix(line, "export KUBECONFIG=") {
				lines = append(lines, typed{line, want})
			}
		}
	}
	return lines
}

func (k *kubectl) try(command typed) {
	k.t.Helper()
	if target, ok := strings.CutPrefix(command.line, "make "); ok {
		if out, err := exec.CommandContext(k.t.Context(), "make", "-C", framework.Path(), "--dry-run", target).CombinedOutput(); err != nil {
			k.t.Errorf("%s: %v\n%s", command.line, err, out)
		}
		return
	}
	if got := k.shell(command.line); masked(got) != masked(command.want) {
		k.t.Errorf("%s\nprints:\n%s\nthe page says:\n%s", command.line, got, command.want)
	}
}

// shell runs a line as a person would type it, with the test's kubectl and this binary as
// portolan, in the repository with the server's data directory in it.
func (k *kubectl) shell(line string) string {
	k.t.Helper()
	programs := framework.ProgramDir(k.t)
	if err := os.Symlink(k.Program, filepath.Join(programs, "kubectl")); err != nil {
		k.t.Fatal(err)
	}
	cmd := exec.CommandContext(k.t.Context(), "bash", "-c", line)
	cmd.Dir = k.t.TempDir()
	for name, target := range map[string]string{"artifacts": framework.Path("artifacts"), "portolan-data": k.dataDir} {
		if err := os.Symlink(target, filepath.Join(cmd.Dir, name)); err != nil {
			k.t.Fatal(err)
		}
	}
	cmd.Env = append(k.Command(k.t.Context()).Env, "PATH="+programs+string(os.PathListSeparator)+os.Getenv("PATH"))
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
