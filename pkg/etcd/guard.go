package etcd

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// guard decides what becomes of an etcd that gives up. etcd does so by logging,
// in whichever goroutine finds out, and expects the process to end. Until the
// member has started the guard returns it as an error instead. Afterwards the
// process does end, as what is in memory may be ahead of what is on disk, but
// says what failed and what to do first.
type guard struct {
	dir string
	// failed has what etcd gave up on before it had started.
	failed  chan error
	started atomic.Bool
	// quiet says that warnings are not for the user: a member that starts warns of
	// its configuration, which is not the user's, and of what it then fails with;
	// one that stops warns of what it gives up.
	quiet atomic.Bool
}

func newGuard(dir string) *guard {
	g := &guard{dir: dir, failed: make(chan error, 1)}
	g.quiet.Store(true)
	return g
}

// logger is for the etcd that is guarded.
func (g *guard) logger() *zap.Logger {
	return newLogger(logCore{quiet: &g.quiet}, zap.WithFatalHook(g), zap.WithPanicHook(g))
}

// OnWrite implements zapcore.CheckWriteHook. It does not return.
func (g *guard) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	_, cause := logged(fields)
	err := errors.New(entry.Message)
	if cause != nil {
		err = fmt.Errorf("%s: %w", entry.Message, cause)
	}
	if !g.started.Load() {
		select {
		case g.failed <- err:
		default:
		}
		runtime.Goexit()
	}
	klog.ErrorS(err, "The embedded etcd failed, and the process ends", "directory", g.dir, "advice", adviceToRestart(err, g.dir))
	klog.Flush()
	os.Exit(1)
}

// run calls code of etcd and returns an error where that gives up or panics. A
// fault is what reading a mapped file beyond its end is.
func (g *guard) run(call func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if fault := recover(); fault != nil {
				done <- errors.New(firstLine(fmt.Sprint(fault)))
			}
		}()
		debug.SetPanicOnFault(true)
		done <- call()
	}()
	select {
	case err := <-done:
		return err
	case err := <-g.failed:
		return err
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// because says whether an error is that of the operating system. Some libraries
// pass on its text alone.
func because(err error, errno ...syscall.Errno) bool {
	for _, one := range errno {
		if errors.Is(err, one) || strings.Contains(err.Error(), one.Error()) {
			return true
		}
	}
	return false
}

// adviceToRestart is what to do about a member that failed while it was running.
func adviceToRestart(err error, dir string) string {
	switch {
	case because(err, syscall.ENOSPC, syscall.EDQUOT):
		return fmt.Sprintf("Free space on the file system of %s and start the server again. No acknowledged write is lost.", dir)
	case because(err, syscall.EROFS):
		return fmt.Sprintf("Make the file system of %s writable and start the server again. No acknowledged write is lost.", dir)
	case because(err, syscall.EIO):
		return fmt.Sprintf("The disk of %s reports errors: check it, and start the server again.", dir)
	default:
		return "Start the server again. If it does not start, it says how to restore a backup."
	}
}
