//go:build e2e

package upgrade

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

// shell runs commands of the documentation in a directory.
type shell struct {
	t      *testing.T
	dir    string
	env    []string
	blocks []string
}

// newShell returns a shell with the programs of .bin, and this binary as
// portolan.
func newShell(t *testing.T, dir string, env ...string) *shell {
	t.Helper()
	bin := framework.ProgramDir(t)
	for _, program := range []string{"etcdctl", "etcdutl", "kubectl"} {
		if err := os.Symlink(framework.Program(t, program), filepath.Join(bin, program)); err != nil {
			t.Fatal(err)
		}
	}
	pages, err := filepath.Glob(framework.Path("artifacts", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := &shell{
		t: t, dir: dir, env: append(os.Environ(), append(env, "HOME="+dir, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))...),
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			s.blocks = append(s.blocks, block[1])
		}
	}
	return s
}

// run runs the only block of the documentation that has a line with this
// beginning, and returns its output.
func (s *shell) run(beginning string) string {
	s.t.Helper()
	found := ""
	for _, block := range s.blocks {
		if !strings.Contains("\n"+block, "\n"+beginning) {
			continue
		}
		if found != "" {
			s.t.Fatalf("two blocks of the pages have %q", beginning)
		}
		found = block
	}
	if found == "" {
		s.t.Fatalf("no block of the pages has %q", beginning)
	}
	command := exec.CommandContext(s.t.Context(), "bash", "-euo", "pipefail", "-c", found)
	command.Dir, command.Env = s.dir, s.env
	out, err := command.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", found, err, out)
	}
	return string(out)
}
