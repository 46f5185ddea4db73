//go:build e2e

package aggregated

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/portolan-dev/portolan/test/framework"
)

// shown is a kubectl get --watch that runs.
type shown struct {
	t     *testing.T
	lines <-chan string
	seen  []string
}

// startWatch runs kubectl get --watch until the test ends.
func startWatch(t *testing.T, k *framework.Kubectl, args ...string) *shown {
	t.Helper()
	cmd := k.Command(t.Context(), append([]string{"get", "--watch", "--output-watch-events"}, args...)...)
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			// Columns are as wide as what was in them so far.
			lines <- strings.Join(strings.Fields(scanner.Text()), " ")
		}
	}()
	t.Cleanup(func() {
		// It ends with the test's context, which kills it.
		if err := cmd.Wait(); err == nil {
			t.Error("kubectl ended by itself")
		}
		if err := writer.Close(); err != nil {
			t.Error(err)
		}
	})
	return &shown{t: t, lines: lines}
}

// await reads on until a line has the text in it, and returns that line.
func (w *shown) await(text string) string {
	w.t.Helper()
	timeout := time.NewTimer(framework.Patience)
	defer timeout.Stop()
	for {
		select {
		case line, ok := <-w.lines:
			if !ok {
				w.t.Fatalf("the watch has ended before %q; it showed:\n%s", text, strings.Join(w.seen, "\n"))
			}
			w.seen = append(w.seen, line)
			if strings.Contains(line, text) {
				return line
			}
		case <-timeout.C:
			w.t.Fatalf("no %q; the watch showed:\n%s", text, strings.Join(w.seen, "\n"))
		}
	}
}
