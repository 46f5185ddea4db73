package operation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/portolan-dev/portolan/pkg/cmd"
	"github.com/portolan-dev/portolan/pkg/server/apigroups"
	"github.com/portolan-dev/portolan/test/framework"
)

var (
	// shellBlock is a block of commands, indented in a list or not.
	shellBlock = regexp.MustCompile("(?ms)^ *```(?:bash|sh)\n(.*?)^ *```")
	// sessionBlock is a block of prompts with commands, and their output.
	sessionBlock = regexp.MustCompile("(?ms)^ *```(?:console|text)\n(.*?)^ *```")
	yamlBlock    = regexp.MustCompile("(?ms)^ *```yaml\n(.*?)^ *```")
	// inlineCommand is a command in a sentence.
	inlineCommand = regexp.MustCompile("`(portolan [a-z][^`]*)`")
	// absoluteOutput is a redirection that would leave the test's directory.
	absoluteOutput = regexp.MustCompile(`>\s*/[^\s)]+`)
)

// recordCommands makes a shell record the commands of a script and run none: it finds no
// program, as its PATH names no directory. A record is the number of arguments, the arguments, and
// the standard input if the command reads it.
const recordCommands = `
PATH=/none
command_not_found_handle() {
	input=
	case " $* " in *" -f - "*) input=$(</dev/stdin) ;; esac
	printf '%s\0' "$#" "$@" "$input" >>"$RECORD"
}
`

// TestPages checks the commands of every page that no test types, because they need a
// cluster or another machine: that the shell can read them, that portolan, kubectl and
// make know them with their flags, and that the files they name exist. Those of console
// blocks are typed by test/ecosystem/kubectl, those of the blocks about etcd by
// test/chaos/upgrade.
func TestPages(t *testing.T) {
	t.Parallel()
	commands := map[string]int{}
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(framework.Path(), page)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			for _, script := range scriptsOf(string(text)) {
				for _, command := range recorded(t, script) {
					commands[command.args[0]]++
					command.check(t)
				}
			}
			for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
				var contents map[string]any
				if err := yaml.UnmarshalStrict([]byte(block[1]), &contents); err != nil {
					t.Errorf("%v:\n%s", err, block[1])
				}
			}
		})
	}
	for program, atLeast := range map[string]int{"portolan": 30, "kubectl": 60, "make": 3} {
		if commands[program] < atLeast {
			t.Errorf("only %d commands of %s were found", commands[program], program)
		}
	}
}

// pages returns the files of all pages.
func pages(t *testing.T) (all []string) {
	t.Helper()
	for _, pattern := range []string{"README.md", ".github/*.md", "artifacts/*.md", "artifacts/*/*.md"} {
		found, err := filepath.Glob(framework.Path(pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// scriptsOf returns the shell scripts of a page.
func scriptsOf(page string) (scripts []string) {
	for _, block := range shellBlock.FindAllStringSubmatch(page, -1) {
		scripts = append(scripts, withoutIndent(block[1]))
	}
	for _, block := range sessionBlock.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(block[1]) {
			if command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ "); ok {
				scripts = append(scripts, command)
			}
		}
	}
	for _, command := range inlineCommand.FindAllStringSubmatch(page, -1) {
		scripts = append(scripts, strings.ReplaceAll(command[1], "…", ""))
	}
	return scripts
}

// withoutIndent removes the indent of a list from a block.
func withoutIndent(block string) string {
	indent := block[:len(block)-len(strings.TrimLeft(block, " "))]
	return strings.ReplaceAll("\n"+block, "\n"+indent, "\n")
}

// command is a command with what it reads.
type command struct {
	args  []string
	input string
}

// recorded returns the commands that a script runs.
func recorded(t *testing.T, script string) (commands []command) {
	t.Helper()
	record := filepath.Join(t.TempDir(), "record")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", recordCommands+absoluteOutput.ReplaceAllString(script, ">/dev/null"))
	shell.Dir, shell.Env = t.TempDir(), []string{"RECORD=" + record, "EDITOR=edit"}
	out, err := shell.CombinedOutput()
	if ctx.Err() != nil || err != nil && strings.Contains(string(out), "syntax error") {
		t.Errorf("%v: %s\n%s", err, out, script)
	}
	text, err := os.ReadFile(record)
	if err != nil && strings.HasPrefix(script, "export ") {
		return nil
	}
	if err != nil {
		t.Errorf("no command was found in:\n%s", script)
		return nil
	}
	fields := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	for len(fields) > 0 {
		n, err := strconv.Atoi(fields[0])
		if err != nil || len(fields) < n+2 {
			t.Fatalf("what was recorded is not a command: %q", fields)
		}
		commands = append(commands, command{args: fields[1 : n+1], input: fields[n+1]})
		fields = fields[n+2:]
	}
	return commands
}

// check reports what is wrong with a command.
func (c command) check(t *testing.T) {
	t.Helper()
	var err error
	switch c.args[0] {
	case "portolan":
		err = checkPortolan(c.args[1:])
	case "kubectl":
		err = c.checkKubectl(t)
	case "make":
		_, err = exec.CommandContext(t.Context(), "make", append([]string{"-C", framework.Path(), "--dry-run"}, c.args[1:]...)...).Output()
	}
	if err != nil {
		t.Errorf("%s: %v", strings.Join(c.args, " "), err)
	}
}

// checkPortolan parses a command line with the real commands.
func checkPortolan(args []string) error {
	found, rest, err := cmd.NewCommand().Find(args)
	if err != nil {
		return err
	}
	if err := found.ParseFlags(rest); err != nil {
		return err
	}
	if !found.Runnable() {
		return fmt.Errorf("%s is not a command", found.CommandPath())
	}
	return found.ValidateArgs(found.Flags().Args())
}

// checkKubectl asks kubectl to parse a command line and then to print its help, which
// needs no server. Files must exist, unless the page makes them.
func (c command) checkKubectl(t *testing.T) error {
	t.Helper()
	args := c.args[1:]
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	help := exec.CommandContext(t.Context(), framework.Program(t, "kubectl"), append(slices.Clone(args), "--help")...)
	out, err := help.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	// kubectl answers an unknown command with the list of all.
	if strings.Contains(string(out), "Basic Commands (Beginner):") {
		return errors.New("kubectl has no such command")
	}
	for i, arg := range args {
		file := ""
		for _, flag := range []string{"-f", "-k", "--filename", "--kustomize", "--patch-file"} {
			if value, ok := strings.CutPrefix(arg, flag+"="); ok {
				file = value
			}
			if arg == flag && i+1 < len(args) {
				file = args[i+1]
			}
		}
		if !strings.HasPrefix(file, "artifacts/") || strings.HasPrefix(file, "artifacts/examples/my-portolan") {
			continue
		}
		if _, err := os.Stat(framework.Path(file)); err != nil {
			return err
		}
	}
	return decodeStrictly(c.input)
}

// decodeStrictly decodes the objects that a command reads.
func decodeStrictly(manifest string) error {
	scheme := apigroups.NewScheme()
	if err := clientscheme.AddToScheme(scheme); err != nil {
		return err
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for document := range strings.SplitSeq(manifest, "\n---\n") {
		if strings.TrimSpace(document) == "" {
			continue
		}
		data, err := utilyaml.ToJSON([]byte(document))
		if err != nil {
			return err
		}
		if _, err := kruntime.Decode(decoder, data); err != nil {
			return err
		}
	}
	return nil
}
