package framework

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Path returns the absolute path of a file or folder of the repository.
func Path(elem ...string) string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(append([]string{filepath.Dir(file), "..", ".."}, elem...)...)
}

// Module returns the folder of a module that another one, in a folder of the repository,
// depends on.
func Module(t testing.TB, module string, in ...string) string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module)
	list.Dir = Path(in...)
	dir, err := list.Output()
	if err != nil {
		t.Fatalf("module %s: %v", module, err)
	}
	return strings.TrimSpace(string(dir))
}

// Program returns the path of a program that make builds into .bin.
func Program(t testing.TB, name string) string {
	t.Helper()
	path := Path(".bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make test or make e2e, which build it", err)
	}
	return path
}
