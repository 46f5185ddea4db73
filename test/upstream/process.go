package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

// launch starts a program that logs into a directory.
func launch(name, dir, binary string, args ...string) (*Process, error) {
	p := &Process{name: name, log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	logFile, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	p.cmd = exec.Command(binary, args...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = logFile, logFile
	// In a group of its own a Ctrl-C on the terminal reaches this program only,
	// which then stops the servers itself.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
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

// await polls until ready says so.
func (p *Process) await(ctx context.Context, ready func(context.Context) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("%s is not ready after %v", p.name, startTimeout))
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for !ready(ctx) {
		select {
		case <-p.ended:
			return p.explain(fmt.Errorf("%s has ended", p.name))
		case <-ctx.Done():
			return p.explain(context.Cause(ctx))
		case <-ticker.C:
		}
	}
	return nil
}

// explain adds the end of the log, which is removed with the directory.
func (p *Process) explain(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	text, _ := os.ReadFile(p.log)
	if len(text) > logTail {
		text = text[len(text)-logTail:]
	}
	return fmt.Errorf("%w; the end of its log:\n%s", err, text)
}

// memory is the resident memory in bytes, 0 where it can't be found out.
func (p *Process) memory() int64 {
	pid := strconv.Itoa(p.cmd.Process.Pid)
	var kilobytes []byte
	if status, err := os.ReadFile("/proc/" + pid + "/status"); err == nil {
		_, after, _ := bytes.Cut(status, []byte("VmRSS:"))
		kilobytes, _, _ = bytes.Cut(after, []byte("kB"))
	} else {
		// Other systems have no /proc.
		kilobytes, _ = exec.Command("ps", "-o", "rss=", "-p", pid).Output()
	}
	n, _ := strconv.ParseInt(string(bytes.TrimSpace(kilobytes)), 10, 64)
	return n << 10
}

// freePort is a port that nobody listens on; servers want to be told one.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}
