package operation

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

// runMake runs make in the repository, unaffected by the make that runs the tests.
func runMake(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "make", args...)
	command.Dir, command.Env = framework.Path(), append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=", "MFLAGS=")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
	return string(out)
}

// TestMakeHelp wants every target that users call to be in make help, in one column.
func TestMakeHelp(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`^  (\S+) +(\S.*)$`)
	column, listed := 0, map[string]bool{}
	for text := range strings.Lines(runMake(t, "-s", "help")) {
		found := line.FindStringSubmatchIndex(strings.TrimRight(text, "\n"))
		if found == nil {
			t.Fatalf("%q is not a target and what it does", text)
		}
		name, begins := text[found[2]:found[3]], found[4]
		if column = max(column, begins); column != begins {
			t.Errorf("the text of %s begins in column %d, others in %d", name, begins, column)
		}
		listed[name] = true
	}
	for _, target := range []string{"run", "build", "image", "test", "e2e", "soak", "bench", "verify", "update", "clean"} {
		if !listed[target] {
			t.Errorf("make help omits %s", target)
		}
	}
}

// TestImageVersion wants an image that is pushed under a release's tag to be stamped with
// that release.
func TestImageVersion(t *testing.T) {
	t.Parallel()
	for push, want := range map[string]string{
		"registry.example:5000/portolan:v0.1.0": "v0.1.0",
		"registry.example/team/portolan:v1.2.3": "v1.2.3",
		"registry.example:5000/portolan":        "v9.9.9-own",
		"registry.example/portolan:latest":      "v9.9.9-own",
		"":                                      "v9.9.9-own",
	} {
		// The version of an image without such a tag comes from git; here it has a name.
		out := runMake(t, "-n", "image", "PUSH="+push, "--eval=VERSION = v9.9.9-own")
		if !strings.Contains(out, " --version="+want+" ") {
			t.Errorf("PUSH=%s: got %s, want the version %s", push, out, want)
		}
	}
}
