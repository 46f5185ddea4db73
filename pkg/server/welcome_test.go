package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// TestWelcomePaths has a kubeconfig's path be one that a shell takes in any
// directory. What the steps do is tested in test/ecosystem/kubectl.
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

// TestWelcomeOfREADME has the README show what a server says.
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
