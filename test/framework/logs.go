package framework

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"

	"k8s.io/klog/v2"
)

// QuietMain is Main for a package whose servers run in its own process and would
// otherwise log into the output of the tests.
func QuietMain(m *testing.M) {
	if err := quiet(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	Main(m)
}

// quiet drops what servers and controllers in this process log.
func quiet() error { return logTo(io.Discard) }

func logTo(w io.Writer) error {
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	for name, value := range map[string]string{"logtostderr": "false", "stderrthreshold": "FATAL"} {
		if err := flags.Set(name, value); err != nil {
			return err
		}
	}
	klog.SetOutput(w)
	return nil
}

// Logs collects what servers and controllers in this process log.
type Logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// CaptureLogs collects logs until the test ends, instead of printing them.
func CaptureLogs(t testing.TB) *Logs {
	t.Helper()
	l := &Logs{}
	if err := logTo(l); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { klog.LogToStderr(true) })
	return l
}

// Write adds to the logs.
func (l *Logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns the logs so far.
func (l *Logs) String() string {
	klog.Flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
