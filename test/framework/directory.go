package framework

import (
	"os"
	"testing"
)

// Directory makes a directory for what programs write. If the test fails, it stays,
// with the logs in it.
func Directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "portolan-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the logs are in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
