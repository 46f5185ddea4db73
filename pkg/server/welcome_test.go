package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// TestWelcomePaths checks that the path of the kubeconfig works in a shell in any
// directory. test/ecosystem/kubectl runs the steps.
func TestWelcomePaths(t *testing.T) {
	t.Parallel()
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"portolan-data/admin.kubeconfig": dir + "/portolan-data/admin.kubeconfig",
		"/with space/a":                  "'/with space/a'",
		"/it's":                          `'/it'\''s'`,
	} {
		if text := welcome(options.New(), datadir.Files{Kubeconfig: file}, true); !strings.Contains(text, "\n  export KUBECONFIG="+want+"\n") {
			t.Errorf("%s:\n%s", file, text)
		}
	}
}

// TestWelcomeOfREADME checks that the README shows what a server writes.
func TestWelcomeOfREADME(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if text := welcome(options.New(), datadir.Files{Kubeconfig: "/home/ann/portolan/portolan-data/admin.kubeconfig"},
		false); !strings.Contains(string(readme), "$ make run\n"+text) {
		t.Errorf("the README doesn't have\n%s", text)
	}
}
