package operation

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

// flowMapping is a mapping of YAML in flow style, which kubectl before 1.33 can't
// read where a document begins with it. An object of CEL follows the name of its type.
var flowMapping = regexp.MustCompile(`(^|[^A-Za-z0-9])\{ *[A-Za-z][A-Za-z0-9_-]*: +\S`)

// TestNoFlowStyle has no page, example or manifest show a mapping in flow style.
func TestNoFlowStyle(t *testing.T) {
	t.Parallel()
	check := func(path string) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		number := 0
		for line := range strings.Lines(string(data)) {
			number++
			if flowMapping.MatchString(line) {
				t.Errorf("%s:%d: %s", path, number, line)
			}
		}
	}
	check(framework.Path("README.md"))
	checked := 0
	err := filepath.WalkDir(framework.Path("artifacts"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if slices.Contains([]string{".md", ".yaml", ".yml", ".tpl", ".txt", ""}, filepath.Ext(path)) {
			checked++
			check(path)
		}
		return nil
	})
	if err != nil || checked < 30 {
		t.Errorf("%d files were checked: %v", checked, err)
	}
}
