package framework

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
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
func quiet() error { return logTo(io.Discard, 0) }

func logTo(w io.Writer, verbosity int) error {
	if err := setLogFlags(map[string]string{
		"logtostderr": "false", "stderrthreshold": "FATAL", "v": strconv.Itoa(verbosity),
	}); err != nil {
		return err
	}
	klog.SetOutput(w)
	return nil
}

func setLogFlags(values map[string]string) error {
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	for name, value := range values {
		if err := flags.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// CaptureLogs collects what servers, controllers and clients in this process log until the
// test ends, instead of printing it.
func CaptureLogs(t testing.TB, verbosity int) *Buffer {
	t.Helper()
	logs := &Buffer{}
	if err := logTo(logs, verbosity); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := setLogFlags(map[string]string{"logtostderr": "true", "stderrthreshold": "ERROR", "v": "0"}); err != nil {
			t.Error(err)
		}
	})
	return logs
}

// Buffer collects what is written to it, and can be read meanwhile.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds to the buffer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns what has been written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
