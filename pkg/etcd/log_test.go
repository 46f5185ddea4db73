package etcd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// captureLog returns a function that returns what was logged since.
func captureLog(t *testing.T) (logged func() string) {
	t.Helper()
	state := klog.CaptureState()
	t.Cleanup(state.Restore)
	var out bytes.Buffer
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	klog.SetOutputBySeverity("INFO", &out)
	return func() string {
		klog.Flush()
		return out.String()
	}
}

// TestLog expects etcd's warnings and errors in the server's log, and nothing else.
func TestLog(t *testing.T) {
	logged := captureLog(t)
	logger := newClientLogger().With(zap.String("of", "etcd"))
	logger.Debug("debugging")
	logger.Info("progress")
	logger.Warn("slow fdatasync", zap.Duration("took", 1500000000), zap.Error(errors.New("broken")))
	logger.Error("disk is failing", zap.Error(errors.New("input/output error")), zap.String("key", strings.Repeat("k", 1<<20)))
	logger.Named("bbolt").Error("what is returned as well")
	got := logged()
	for _, want := range []string{
		`"slow fdatasync" logger="etcd" of="etcd" took="1.5s" err="broken"`,
		`"disk is failing" err="input/output error" logger="etcd" of="etcd" key="kkk`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %.1000s", want, got)
		}
	}
	if lines := strings.Count(got, "\n"); lines != 2 || len(got) > 2*maxLogged {
		t.Errorf("%d lines, %d bytes: %.3000s", lines, len(got), got)
	}
}

// TestLogFlood expects a repeated warning not to fill the log.
func TestLogFlood(t *testing.T) {
	logged := captureLog(t)
	logger := newClientLogger()
	for range 1000 {
		logger.Warn("slow fdatasync")
	}
	if lines := strings.Count(logged(), "\n"); lines < logFirst || lines > 2*(logFirst+1000/logOneOfMany) {
		t.Errorf("%d lines of 1000", lines)
	}
}

// TestQuietStart expects no log lines when a member is created, restarted and
// stopped.
func TestQuietStart(t *testing.T) {
	logged := captureLog(t)
	dir := t.TempDir()
	for range 2 {
		if err := start(t, dir).Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := logged(); got != "" {
		t.Error(got)
	}
}

// TestGuard expects run to return etcd's fatal errors and panics.
func TestGuard(t *testing.T) {
	for name, test := range map[string]struct {
		call func(logger *zap.Logger) error
		want string
	}{
		"returns": {func(*zap.Logger) error { return errors.New("returned") }, "returned"},
		"fatal": {func(logger *zap.Logger) error {
			logger.Fatal("failed to open WAL", zap.Error(errors.New("crc mismatch")))
			return nil
		}, "failed to open WAL: crc mismatch"},
		"panic": {func(logger *zap.Logger) error { logger.Panic("failed to open database"); return nil }, "failed to open database"},
		"raft": {func(logger *zap.Logger) error { logger.Sugar().Panicf("tocommit(%d) is out of range", 7); return nil },
			"tocommit(7) is out of range"},
		"bolt": {func(*zap.Logger) error { panic("invalid page type: 7\nwith more") }, "invalid page type: 7"},
	} {
		fatal := newFatalHandler(t.TempDir())
		if err := fatal.run(func() error { return test.call(fatal.logger()) }); err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

var _ zapcore.CheckWriteHook = (*fatalHandler)(nil)
