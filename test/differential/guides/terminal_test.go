//go:build e2e

package guides

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/wait"
)

// result is what a command has printed, and its exit code.
type result struct {
	stdout, stderr string
	code           int
}

// String is the result as it is compared: line by line, with what is an error
// told from what isn't.
func (r result) String() string {
	var text strings.Builder
	text.WriteString(r.stdout)
	if r.stderr != "" {
		fmt.Fprintf(&text, "on stderr:\n%s", r.stderr)
	}
	fmt.Fprintf(&text, "exit code %d", r.code)
	return text.String()
}

func (s *side) run(ctx context.Context, line string) (result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it has not ended after %v", patience))
	defer cancel()
	cmd := s.command(ctx, line)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.Exited() {
		err = nil
	}
	if err != nil {
		return result{}, fmt.Errorf("$ %s\n%s: %w:\n%s%s", line, s.name, err, &stdout, &stderr)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}, nil
}

// guide is one that is followed at both sides, in a namespace of its own.
type guide struct {
	*testing.T
	sides
}

// follow begins a guide in a new namespace.
func (s sides) follow(t *testing.T, namespace string) guide {
	t.Helper()
	guide{t, s}.types("kubectl create namespace " + namespace)
	return guide{t, sides{kube: s.kube.in(t, namespace), portolan: s.portolan.in(t, namespace)}}
}

// exception is a difference that is meant: where Portolan says ours, kube-apiserver
// says theirs.
type exception struct{ ours, theirs string }

// types types a line that is to succeed, and compares what is printed.
func (g guide) types(line string, but ...exception) {
	g.Helper()
	g.typesFor(line, func(r result) bool { return r.code == 0 }, "succeed", but)
}

// fails types a line that is to fail, and compares what is printed.
func (g guide) fails(line string, but ...exception) {
	g.Helper()
	g.typesFor(line, func(r result) bool { return r.code != 0 }, "fail", but)
}

func (g guide) typesFor(line string, right func(result) bool, should string, but []exception) {
	g.Helper()
	kube, portolan := g.both(func(s *side) (result, error) { return s.run(g.Context(), line) })
	if !right(kube) {
		g.Errorf("$ %s\nshould %s; kube-apiserver:\n%s", line, should, kube)
	}
	g.compare(line, kube, portolan, but)
}

// awaits types a line again and again, until each side prints what is waited for,
// and compares all of what is printed then.
func (g guide) awaits(line, want string, but ...exception) {
	g.Helper()
	kube, portolan := g.both(func(s *side) (last result, err error) {
		err = wait.PollUntilContextTimeout(g.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
			now, err := s.run(ctx, line)
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			last = now
			return strings.Contains(now.stdout+now.stderr, want), err
		})
		if err != nil {
			err = fmt.Errorf("$ %s\n%s: no %q: %w; last\n%s", line, s.name, want, err, last)
		}
		return last, err
	})
	g.compare(line, kube, portolan, but)
}

// both does the same at both sides, at the same time.
func (g guide) both(do func(*side) (result, error)) (kube, portolan result) {
	g.Helper()
	var wg sync.WaitGroup
	var errs [2]error
	wg.Go(func() { kube, errs[0] = do(g.kube) })
	wg.Go(func() { portolan, errs[1] = do(g.portolan) })
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		g.Fatal(err)
	}
	return kube, portolan
}

// compare fails with the difference of what was printed, but for what must differ
// and what is meant to.
func (g guide) compare(line string, kube, portolan result, but []exception) {
	g.Helper()
	want, got := masked(kube.String(), g.kube.port), masked(portolan.String(), g.portolan.port)
	for _, b := range but {
		if !strings.Contains(got, b.ours) {
			g.Errorf("$ %s\nPortolan doesn't say %q, which was an exception:\n%s", line, b.ours, got)
		}
		got = strings.ReplaceAll(got, b.ours, b.theirs)
	}
	if difference := differ(want, got); difference != "" {
		g.Errorf("$ %s\n- kube-apiserver\n+ Portolan\n%s", line, difference)
	}
}

// differ is the difference of two texts, line by line; empty where there is none.
func differ(want, got string) string {
	return legible.Replace(diff.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
}

// legible undoes what JSON does for the sake of HTML.
var legible = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&")
