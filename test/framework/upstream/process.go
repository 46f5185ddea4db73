package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 2 * time.Minute
	// pollEvery is how exactly the time to ready is measured.
	pollEvery = 10 * time.Millisecond
	logTail   = 2000
)

// Process is a server that runs as a child.
type Process struct {
	name, log string
	cmd       *exec.Cmd
	ended     chan struct{}
}

// Launch starts a program in a directory. It adds to the log that the program
// of this name has there.
func Launch(name, dir, binary string, args ...string) (*Process, error) {
	return LaunchCommand(name, dir, exec.Command(binary, args...))
}

// LaunchCommand is Launch for a program with an environment of its own.
func LaunchCommand(name, dir string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{name: name, log: filepath.Join(dir, name+".log"), ended: make(chan struct{}), cmd: cmd}
	logFile, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = logFile, logFile
	// In a group of its own a Ctrl-C on the terminal reaches this program only,
	// which then stops the servers itself.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	EndWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		// How it ended is in its log.
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Stop ends the process at once: its data is removed next, so nothing is
// gained by letting it finish.
func (p *Process) Stop() {
	// It fails for a process that has ended by itself.
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Terminate asks the process to end, as a kubelet does, and waits until it has.
func (p *Process) Terminate(ctx context.Context) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return p.Explain(fmt.Errorf("%s does not end: %w", p.name, context.Cause(ctx)))
	}
}

// Log is what the program has written.
func (p *Process) Log() ([]byte, error) { return os.ReadFile(p.log) }

// Ended is closed when the process is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Await polls until ready says so, or the process has ended.
func (p *Process) Await(ctx context.Context, ready func(context.Context) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("%s is not ready after %v", p.name, startTimeout))
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for !ready(ctx) {
		select {
		case <-p.ended:
			return p.Explain(fmt.Errorf("%s has ended", p.name))
		case <-ctx.Done():
			return p.Explain(context.Cause(ctx))
		case <-ticker.C:
		}
	}
	return nil
}

// Explain adds the end of the log, which is removed with the directory.
func (p *Process) Explain(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	text, _ := os.ReadFile(p.log)
	if len(text) > logTail {
		text = text[len(text)-logTail:]
	}
	return fmt.Errorf("%w; the end of its log:\n%s", err, text)
}

// FreePort returns a port that nothing listens on. It is below those that systems choose
// from for outgoing connections, so a server that is started again finds it free.
func FreePort() (string, error) {
	const first, last, attempts = 12000, 29999, 100
	for range attempts {
		port := strconv.Itoa(first + rand.IntN(last-first+1))
		if listener, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			return port, listener.Close()
		}
	}
	return "", errors.New("there is no free port")
}

// portTaken reports whether a server ended because another process listens on its port:
// FreePort can't keep a port until the server has it.
func portTaken(err error) bool {
	return err != nil && strings.Contains(err.Error(), "address already in use")
}
