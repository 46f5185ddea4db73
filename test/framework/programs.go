package framework

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Path returns the absolute path of a file or folder of the repository.
func Path(elem ...string) string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(append([]string{filepath.Dir(file), "..", ".."}, elem...)...)
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
