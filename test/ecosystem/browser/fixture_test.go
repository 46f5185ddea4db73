//go:build e2e && linux

package browser

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// patience is how long a test waits before it fails, pause how long between two looks.
	patience = 3 * time.Minute
	pause    = 50 * time.Millisecond
)

// program returns the path of a program that make builds.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", ".bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make e2e-browser, which builds it", err)
	}
	return path
}

// portolan returns the program to test: the one that was built, or another one.
func portolan(t *testing.T) string {
	if other := os.Getenv("PORTOLAN_TEST_PROGRAM"); other != "" {
		return other
	}
	return program(t, "portolan")
}

// start starts a program that ends with the test, and with the process of the test.
func start(t *testing.T, stdout io.Writer, name string, args ...string) <-chan error {
	t.Helper()
	command := exec.Command(name, args...)
	command.Stdout, command.Stderr = stdout, stdout
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		ended <- command.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		<-done
	})
	return ended
}

// serve starts a server and returns its kubeconfig when it is ready.
func serve(t *testing.T, flags ...string) string {
	t.Helper()
	const attempts = 5
	for range attempts {
		kubeconfig, err := tryServe(t, flags)
		if err == nil {
			return kubeconfig
		}
		t.Log(err)
	}
	t.Fatal("no server started")
	return ""
}

// tryServe fails if another process takes the port first.
func tryServe(t *testing.T, flags []string) (string, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err = errors.Join(err, listener.Close()); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	reader, writer := io.Pipe()
	args := append([]string{"serve", "--data-dir=" + data, "--secure-port=" + port}, flags...)
	ended := start(t, writer, portolan(t), args...)
	if _, err := waitLine(t, reader, ended, "Portolan is ready"); err != nil {
		return "", fmt.Errorf("the server on port %s: %w", port, err)
	}
	return filepath.Join(data, "admin.kubeconfig"), nil
}

// waitLine waits for a line with a text. It returns an error if the program ends before. What
// the program prints later is read, so that it is not held up.
func waitLine(t *testing.T, output io.Reader, ended <-chan error, text string) (string, error) {
	t.Helper()
	found := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(output); lines.Scan(); {
			if strings.Contains(lines.Text(), text) {
				found <- lines.Text()
				_, _ = io.Copy(io.Discard, output)
			}
		}
	}()
	select {
	case line := <-found:
		return line, nil
	case err := <-ended:
		return "", fmt.Errorf("it ended before it printed %q: %w", text, err)
	case <-time.After(patience):
		t.Fatalf("no line with %q", text)
		return "", nil
	}
}

// cluster is a server with Services, as kubectl sees it.
type cluster struct {
	t          *testing.T
	kubeconfig string
}

// kubectl runs kubectl with a standard input.
func (c cluster) kubectl(input string, args ...string) {
	c.t.Helper()
	command := exec.CommandContext(c.t.Context(), program(c.t, "kubectl"), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	command.Stdin = strings.NewReader(input)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		c.t.Fatalf("kubectl %v: %v\n%s", args, err, &output)
	}
}

// ui starts portolan ui and returns the address that it prints.
func (c cluster) ui() string {
	c.t.Helper()
	reader, writer := io.Pipe()
	ended := start(c.t, writer, portolan(c.t), "ui", "--kubeconfig="+c.kubeconfig)
	line, err := waitLine(c.t, reader, ended, "http://127.0.0.1:")
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// eventually waits until a look succeeds. Its error says what is there instead.
func eventually(ctx context.Context, look func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
