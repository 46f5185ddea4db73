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

	"go.etcd.io/raft/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// fatalHandler handles fatal errors of an embedded etcd. etcd reports one with a fatal log
// entry, in whichever goroutine finds it, and expects the process to end. Until the
// member has started, the handler returns the error instead. Later the process does end,
// because memory may be ahead of the disk, but it first logs what failed and what
// to do.
type fatalHandler struct {
	dir string
	// failed receives the fatal error of a member that has not started yet.
	failed  chan error
	started atomic.Bool
	// quiet hides warnings that don't help the user. A starting member warns about
	// its configuration, which the user didn't write, and about errors that it then
	// returns. A stopping member warns about the work that it abandons.
	quiet atomic.Bool
}

func newFatalHandler(dir string) *fatalHandler {
	f := &fatalHandler{dir: dir, failed: make(chan error, 1)}
	f.quiet.Store(true)
	return f
}

// logger returns the logger for an etcd whose fatal errors it handles.
func (f *fatalHandler) logger() *zap.Logger {
	return newLogger(logCore{quiet: &f.quiet}, zap.WithFatalHook(f), zap.WithPanicHook(f))
}

// OnWrite implements zapcore.CheckWriteHook. It does not return, except from an early
// election.
func (f *fatalHandler) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	if isEarlyElection(entry.Message) {
		return
	}
	_, cause := logged(fields)
	err := errors.New(entry.Message)
	if cause != nil {
		err = fmt.Errorf("%s: %w", entry.Message, cause)
	}
	if !f.started.Load() {
		select {
		case f.failed <- err:
		default:
		}
		runtime.Goexit()
	}
	klog.ErrorS(err, "The embedded etcd failed, exiting", "directory", f.dir, "advice", adviceToRestart(err, f.dir))
	klog.Flush()
	os.Exit(1)
}

// isEarlyElection reports whether raft could not search its log for changes of the
// membership before an election (raft.hasUnappliedConfChanges), because etcd had applied
// and compacted the log before raft recorded that. It happens at the start of a busy
// machine. raft would panic. Without that it holds the election, which is safe: a store
// of one member has no changes of the membership.
func isEarlyElection(message string) bool {
	return strings.HasPrefix(message, "error scanning unapplied entries ") && strings.HasSuffix(message, ": "+raft.ErrCompacted.Error())
}

// run calls etcd's code and returns its fatal errors and panics as an error. A
// memory fault counts as a panic: reading a mapped file beyond its end is one.
func (f *fatalHandler) run(call func() error) error {
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
	case err := <-f.failed:
		return err
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// causedBy reports whether err comes from one of the system errors. It compares
// texts too, because some libraries keep only the text.
func causedBy(err error, errno ...syscall.Errno) bool {
	for _, one := range errno {
		if errors.Is(err, one) || strings.Contains(err.Error(), one.Error()) {
			return true
		}
	}
	return false
}

// adviceToRestart says what to do after a running member failed.
func adviceToRestart(err error, dir string) string {
	switch {
	case causedBy(err, syscall.ENOSPC, syscall.EDQUOT):
		return fmt.Sprintf("Free space on the file system of %s and start the server again. No acknowledged write is lost.", dir)
	case causedBy(err, syscall.EROFS):
		return fmt.Sprintf("Make the file system of %s writable and start the server again. No acknowledged write is lost.", dir)
	case causedBy(err, syscall.EIO):
		return fmt.Sprintf("The disk of %s reports errors: check it, and start the server again.", dir)
	default:
		return "Start the server again. If it does not start, its error says how to restore a backup."
	}
}
