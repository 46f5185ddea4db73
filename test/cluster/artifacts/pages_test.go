package artifacts

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

// needNodes matches commands that only work where Pods run or a gateway is.
var needNodes = regexp.MustCompile(`(?m)^kubectl .*( rollout | get services ).*$`)

// consoleBlocks are the commands on a page.
func consoleBlocks(t *testing.T, page string) []string {
	t.Helper()
	var blocks []string
	for _, block := range regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(readme(t, page), -1) {
		blocks = append(blocks, block[1])
	}
	return blocks
}

// typeBlock types the block of a page that has some text, below a directory instead of in
// the root.
func typeBlock(t *testing.T, root string, blocks []string, text string, env ...string) {
	t.Helper()
	i := slices.IndexFunc(blocks, func(block string) bool { return strings.Contains(block, text) })
	if i < 0 {
		t.Fatalf("no block has %q", text)
	}
	bin := t.TempDir()
	for _, name := range []string{"kubeadm", "systemctl", "crictl", "docker"} {
		stub := "#!/bin/sh\necho " + name + " \"$@\"\n"
		if err := os.WriteFile(filepath.Join(bin, name), []byte(stub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	commands := strings.ReplaceAll(blocks[i], "/etc/kubernetes", filepath.Join(root, "etc", "kubernetes"))
	commands = needNodes.ReplaceAllString(commands, "")
	shell := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	shell.Dir = root
	shell.Env = append(slices.Concat(os.Environ(), env), "PATH="+bin+":"+framework.Path(".bin")+":"+os.Getenv("PATH"), "HOME="+root)
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v of\n%s\n%s", err, commands, out)
	}
}
