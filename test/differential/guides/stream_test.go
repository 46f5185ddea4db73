//go:build e2e

package guides

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/portolan-dev/portolan/test/framework"
)

// stream is a running command on one server, such as a watch.
type stream struct {
	name   string
	lines  chan string
	stderr strings.Builder
	end    func() error
}

// begin starts a command that runs until it is ended.
func (s *server) begin(line string) (*stream, error) {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := s.command(ctx, line)
	begun := &stream{name: s.name, lines: make(chan string)}
	cmd.Stderr = &begun.stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	ended := make(chan error, 1)
	go func() {
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			begun.lines <- scanner.Text()
		}
		ended <- cmd.Wait()
		close(begun.lines)
	}()
	begun.end = sync.OnceValue(func() error {
		cancel()
		for range begun.lines {
			// Output that is not read would block it.
		}
		if exit := new(exec.ExitError); !errors.As(<-ended, &exit) || exit.Exited() {
			return fmt.Errorf("%s: it ended by itself: %s", s.name, begun.stderr.String())
		}
		return nil
	})
	return begun, nil
}

// next waits for the next lines.
func (s *stream) next(n int) (string, error) {
	var lines []string
	timeout := time.After(framework.Patience)
	for range n {
		select {
		case line, ok := <-s.lines:
			if !ok {
				return "", fmt.Errorf("%s: it ended after\n%s", s.name, strings.Join(lines, "\n"))
			}
			lines = append(lines, line)
		case <-timeout:
			return "", fmt.Errorf("%s: %d of %d lines:\n%s", s.name, len(lines), n, strings.Join(lines, "\n"))
		}
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// watch is the same running command on both servers.
type watch struct {
	guide
	line           string
	kube, portolan *stream
}

// begins starts a command that runs until ends, or the end of the test.
func (g guide) begins(line string) *watch {
	g.Helper()
	w := &watch{guide: g, line: line}
	for at, s := range map[**stream]*server{&w.kube: g.kube, &w.portolan: g.portolan} {
		begun, err := s.begin(line)
		if err != nil {
			g.Fatal(err)
		}
		*at = begun
		g.Cleanup(func() {
			if err := begun.end(); err != nil {
				g.Errorf("$ %s\n%v", line, err)
			}
		})
	}
	return w
}

// shows waits until each server has printed n more lines, and compares them.
func (w *watch) shows(n int) (kube, portolan string) {
	w.Helper()
	var errs [2]error
	kube, errs[0] = w.kube.next(n)
	portolan, errs[1] = w.portolan.next(n)
	if err := errors.Join(errs[:]...); err != nil {
		w.Fatalf("$ %s\n%v", w.line, err)
	}
	w.compare(w.line, result{stdout: kube}, result{stdout: portolan}, nil)
	return kube, portolan
}

// ends ends the command, and compares its standard error.
func (w *watch) ends() {
	w.Helper()
	if err := errors.Join(w.kube.end(), w.portolan.end()); err != nil {
		w.Errorf("$ %s\n%v", w.line, err)
	}
	w.compare(w.line, result{stderr: w.kube.stderr.String()}, result{stderr: w.portolan.stderr.String()}, nil)
}
