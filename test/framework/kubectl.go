package framework

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// Kubectl runs kubectl.
type Kubectl struct {
	Kubeconfig string
	// Program is the kubectl, by default that of .bin.
	Program string
	// Dir is the working directory, by default the test's.
	Dir string
	// Flags go before the arguments of each command.
	Flags []string

	t testing.TB
	// home has what kubectl discovers, which would outlive a restart elsewhere.
	home string
}

// NewKubectl returns a kubectl with a home of its own.
func NewKubectl(t testing.TB, kubeconfig string) *Kubectl {
	t.Helper()
	return &Kubectl{Kubeconfig: kubeconfig, Program: Program(t, "kubectl"), t: t, home: t.TempDir()}
}

// With returns a kubectl that adds flags to every command.
func (k *Kubectl) With(flags ...string) *Kubectl {
	changed := *k
	changed.Flags = slices.Concat(k.Flags, flags)
	return &changed
}

// Command returns a command that is to be started.
func (k *Kubectl) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, k.Program, slices.Concat(k.Flags, args)...)
	upstream.EndWithParent(cmd)
	cmd.Dir = k.Dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+k.Kubeconfig, "HOME="+k.home)
	return cmd
}

// Try returns what a command prints, and the error of its exit code.
func (k *Kubectl) Try(stdin string, args ...string) (string, error) {
	k.t.Helper()
	cmd := k.Command(k.t.Context(), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		k.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// Run returns what a command prints, which must succeed.
func (k *Kubectl) Run(args ...string) string {
	k.t.Helper()
	return k.Feed("", args...)
}

// Feed is Run with a standard input.
func (k *Kubectl) Feed(stdin string, args ...string) string {
	k.t.Helper()
	out, err := k.Try(stdin, args...)
	if err != nil {
		k.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Fail returns what a command prints, which must fail.
func (k *Kubectl) Fail(args ...string) string {
	k.t.Helper()
	return k.FailFed("", args...)
}

// FailFed is Fail with a standard input.
func (k *Kubectl) FailFed(stdin string, args ...string) string {
	k.t.Helper()
	out, err := k.Try(stdin, args...)
	if err == nil {
		k.t.Fatalf("kubectl %s did not fail:\n%s", strings.Join(args, " "), out)
	}
	return out
}

// Expect wants texts in what a command printed.
func (k *Kubectl) Expect(got string, want ...string) {
	k.t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			k.t.Errorf("want %q in:\n%s", w, got)
		}
	}
}
