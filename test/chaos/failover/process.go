//go:build linux && e2e

package failover

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// process is a program that faults can hit. It ends with the test, even if that
// is killed.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	// err is the result of the process, once it has ended.
	err error
}

// processes are all programs that a test starts. They end with the test, not
// with the subtest that has restarted them.
type processes struct {
	mu   sync.Mutex
	all  []*process
	logs string
}

func newProcesses(t testing.TB) *processes {
	ps := &processes{logs: t.TempDir()}
	t.Cleanup(func() {
		ps.mu.Lock()
		defer ps.mu.Unlock()
		tails := map[string]string{}
		for _, p := range ps.all {
			p.kill(t)
			tails[p.name] = p.tail()
		}
		for name, tail := range tails {
			if t.Failed() {
				t.Logf("the end of the log of %s:\n%s", name, tail)
			}
		}
	})
	return ps
}

// launch starts a program in a directory.
func (ps *processes) launch(t testing.TB, name, dir string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{name: name, cmd: cmd, log: filepath.Join(ps.logs, name+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	upstream.EndWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.err = cmd.Wait()
	}()
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.all = append(ps.all, p)
	return p
}

func (p *process) tail() string {
	const length = 6000
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-length):])
}

// kill ends the process with SIGKILL and returns when it is gone.
func (p *process) kill(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%s: %v", p.name, err)
	}
	<-p.ended
}

func (p *process) signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Errorf("%s: %v", p.name, err)
	}
}

// pause stops the process until resume. It keeps its connections and answers
// nothing.
func (p *process) pause(t testing.TB) { p.signal(t, syscall.SIGSTOP) }

func (p *process) resume(t testing.TB) { p.signal(t, syscall.SIGCONT) }

// stop terminates the process and waits until it has ended.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(framework.Patience):
		t.Errorf("%s did not end after %v", p.name, framework.Patience)
		p.kill(t)
	}
}
