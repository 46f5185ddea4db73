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

	"k8s.io/apimachinery/pkg/util/diff"

	"github.com/portolan-dev/portolan/test/framework"
)

// result is the output of a command, and its exit code.
type result struct {
	stdout, stderr string
	code           int
}

// String is the result as it is compared. It marks what is on stderr.
func (r result) String() string {
	var text strings.Builder
	text.WriteString(r.stdout)
	if r.stderr != "" {
		fmt.Fprintf(&text, "on stderr:\n%s", r.stderr)
	}
	fmt.Fprintf(&text, "exit code %d", r.code)
	return text.String()
}

func (s *server) run(ctx context.Context, line string) (result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, framework.Patience, fmt.Errorf("it has not ended after %v", framework.Patience))
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

// guide runs commands on both servers, in a namespace of its own.
type guide struct {
	*testing.T
	servers
}

// follow starts a guide in a new namespace.
func (s servers) follow(t *testing.T, namespace string) guide {
	t.Helper()
	guide{t, s}.types("kubectl create namespace " + namespace)
	return guide{t, servers{kube: s.kube.in(t, namespace), portolan: s.portolan.in(t, namespace)}}
}

// exception is an intended difference: Portolan prints ours where
// kube-apiserver prints theirs.
type exception struct{ ours, theirs string }

// types runs a command that must succeed, and compares the output.
func (g guide) types(line string, but ...exception) {
	g.Helper()
	g.typesFor(line, func(r result) bool { return r.code == 0 }, "succeed", but)
}

// fails runs a command that must fail, and compares the output.
func (g guide) fails(line string, but ...exception) {
	g.Helper()
	g.typesFor(line, func(r result) bool { return r.code != 0 }, "fail", but)
}

func (g guide) typesFor(line string, right func(result) bool, should string, but []exception) {
	g.Helper()
	kube, portolan := g.both(func(s *server) (result, error) { return s.run(g.Context(), line) })
	if !right(kube) {
		g.Errorf("$ %s\nshould %s; kube-apiserver:\n%s", line, should, kube)
	}
	g.compare(line, kube, portolan, but)
}

// awaits repeats a command until both servers print a text, and compares the
// whole output of the last run.
func (g guide) awaits(line, want string, but ...exception) {
	g.Helper()
	kube, portolan := g.both(func(s *server) (last result, err error) {
		err = framework.Poll(g.Context(), func(ctx context.Context) (bool, error) {
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

// both calls a function with each server, concurrently.
func (g guide) both(do func(*server) (result, error)) (kube, portolan result) {
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

// compare fails if the outputs differ after masking and exceptions.
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

// differ returns the difference of two texts, line by line, or "".
func differ(want, got string) string {
	return legible.Replace(diff.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
}

// legible reverses the escapes of HTML in JSON.
var legible = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&")
