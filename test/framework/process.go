package framework

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/cmd"
	"github.com/portolan-dev/portolan/pkg/memory"
	"github.com/portolan-dev/portolan/pkg/server"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

const (
	// serveFlags is the variable of the environment that makes a test binary a
	// server: the flags, as JSON.
	serveFlags = "PORTOLAN_TEST_SERVE"
	// runCommand makes a test binary the command portolan.
	runCommand = "PORTOLAN_TEST_COMMAND"
	// program names a portolan that was built, for tests to run in the place of
	// the one that the test binary has in it.
	program = "PORTOLAN_TEST_PROGRAM"
)

// Main runs a server or the command portolan if Spawn or Command started this binary, and
// its tests otherwise. A package that uses those calls it from TestMain.
func Main(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

// Child is for a TestMain that does more than run the tests: it does not return
// if the test binary was started by Spawn or Command.
func Child() {
	if asked, err := becomeProgram(); asked {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if _, child := os.LookupEnv(runCommand); child {
		os.Exit(cmd.Run(cmd.NewCommand()))
	}
	encoded, child := os.LookupEnv(serveFlags)
	if !child {
		return
	}
	if err := serve(encoded); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Command runs the command portolan as a user does. The error is that of its
// exit code.
func Command(t testing.TB, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	command := Portolan(t, args...)
	var out, errOut bytes.Buffer
	command.Stdout, command.Stderr = &out, &errOut
	err = command.Run()
	return out.String(), errOut.String(), err
}

// Portolan is the command portolan, to be started as a process of its own.
func Portolan(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	if built := os.Getenv(program); built != "" {
		return ownPace(built, args...)
	}
	command := again(t, args...)
	command.Env = append(command.Env, runCommand+"=")
	return command
}

// again is this test binary as another process.
func again(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return ownPace(self, args...)
}

// ownPace returns a command without GOGC: a server in a process of its own sets the pace of
// its garbage collector by itself, as a user's does.
func ownPace(program string, args ...string) *exec.Cmd {
	command := exec.Command(program, args...)
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "GOGC=") })
	upstream.EndWithParent(command)
	return command
}

// ProgramDir makes a directory with the command portolan in it, for the PATH of
// scripts that call it.
func ProgramDir(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nunset GOGC\nexport %s=\nexec '%s' \"$@\"\n", runCommand, self)
	if err := os.WriteFile(filepath.Join(dir, "portolan"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serve does what portolan serve does, but for the port: any that is free.
func serve(encoded string) error {
	// A server must not outlive its test, however that ends.
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	var args []string
	if err := json.Unmarshal([]byte(encoded), &args); err != nil {
		return err
	}
	o := options.New()
	var sets cliflag.NamedFlagSets
	o.AddFlags(&sets)
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	for _, name := range sets.Order {
		flags.AddFlagSet(sets.FlagSets[name])
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	o.SecureServing.Listener = listener
	o.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	ctx := context.Background()
	go memory.Keep(ctx, true)
	return server.Run(ctx, o, os.Stdout)
}

// Process is a server in a process of its own, which can be killed.
type Process struct {
	DataDir string

	// cluster is the kubeconfig of its cluster, empty without one.
	cluster string
	// url is where it says that it is, once it is ready.
	url    string
	cmd    *exec.Cmd
	ready  chan struct{}
	exited chan struct{}
	// ended says that the test knows of the end of the process.
	ended  bool
	output tail
}

// Spawn starts a server on a data directory, which must exist, and does not
// wait for it. It is killed when the test ends.
func Spawn(t testing.TB, dataDir string, flags ...string) *Process {
	t.Helper()
	args, err := json.Marshal(slices.Concat([]string{"--data-dir=" + dataDir}, defaults(flags), flags))
	if err != nil {
		t.Fatal(err)
	}
	command := again(t)
	command.Env = append(command.Env, serveFlags+"="+string(args))
	return launch(t, dataDir, command, flags)
}

// Serve runs "portolan serve" on a data directory, which must exist, and a
// port, and does not wait for it. It is killed when the test ends. A server that
// is started again on the same port keeps its address.
func Serve(t testing.TB, dataDir, port string, flags ...string) *Process {
	t.Helper()
	return launch(t, dataDir, serveCommand(t, dataDir, port, flags), flags)
}

func serveCommand(t testing.TB, dataDir, port string, flags []string) *exec.Cmd {
	t.Helper()
	args := append([]string{"serve", "--data-dir=" + dataDir, "--secure-port=" + port}, defaults(flags)...)
	return Portolan(t, append(args, flags...)...)
}

// defaults are what a server is started with besides the flags of a test. As
// with Start, it writes little by itself where no cluster is named.
func defaults(flags []string) []string {
	if slices.ContainsFunc(flags, func(flag string) bool { return strings.HasPrefix(flag, "--kubeconfig=") }) {
		return nil
	}
	return []string{"--controllers=false", "--kubernetes-service=false"}
}

func launch(t testing.TB, dataDir string, command *exec.Cmd, flags []string) *Process {
	t.Helper()
	p := &Process{DataDir: dataDir, cmd: command, ready: make(chan struct{}), exited: make(chan struct{})}
	for _, flag := range flags {
		if file, found := strings.CutPrefix(flag, "--kubeconfig="); found {
			p.cluster = file
		}
	}
	p.cmd.Stderr = &p.output
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		lines := bufio.NewScanner(stdout)
		for announced := false; lines.Scan(); {
			if !announced && strings.HasPrefix(lines.Text(), "Portolan is ready") {
				announced = true
				p.url = address.FindString(lines.Text())
				close(p.ready)
			}
		}
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() { p.Kill(t) })
	return p
}

// WaitReady returns when the server says that it is ready.
func (p *Process) WaitReady(t testing.TB) {
	t.Helper()
	select {
	case <-p.ready:
	case <-p.exited:
		t.Fatalf("the server ended before it was ready: %v\n%s", p.cmd.ProcessState, p.output.String())
	case <-time.After(startTimeout):
		t.Fatalf("the server did not turn ready\n%s", p.output.String())
	}
}

// address is that of the server, in the text that says that it is ready.
var address = regexp.MustCompile(`https://[^\s]*[0-9]`)

// Config is the administrator's of a server that is ready, with no limit on its
// rate: of a server with a cluster, that of the user of its kubeconfig.
func (p *Process) Config(t testing.TB) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", cmp.Or(p.cluster, filepath.Join(p.DataDir, adminKubeconfig)))
	if err != nil {
		t.Fatal(err)
	}
	if p.cluster != "" {
		return p.As(config)
	}
	config.QPS = -1
	return config
}

// As returns the config of a user of the cluster for requests to the server itself;
// see Server.As. The server must be ready, and its certificate signed by its own authority.
func (p *Process) As(user *rest.Config) *rest.Config {
	return direct(user, p.url, filepath.Join(p.DataDir, ownAuthority))
}

// Client makes a client of a server that is ready, on connections of its own.
func (p *Process) Client(t testing.TB) versioned.Interface {
	t.Helper()
	client, err := versioned.NewForConfigAndClient(p.HTTP(t, (&net.Dialer{}).DialContext))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Dialer makes the connections of a client.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// HTTP returns the administrator's config and client for a server that is ready. The
// client never reuses a connection to a server that was killed.
func (p *Process) HTTP(t testing.TB, dial Dialer) (*rest.Config, *http.Client) {
	t.Helper()
	config := p.Config(t)
	// A dialer of its own keeps client-go from sharing the transport.
	config.Dial = dial
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return config, client
}

// Output is the end of what the server has written to its standard error.
func (p *Process) Output() string { return p.output.String() }

// Ready is closed when the server says that it is ready.
func (p *Process) Ready() <-chan struct{} { return p.ready }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// AwaitEnd returns when the server has ended by itself, as the test wants it to.
func (p *Process) AwaitEnd(t testing.TB) {
	t.Helper()
	select {
	case <-p.exited:
		p.ended = true
	case <-time.After(Patience):
		t.Fatalf("the server did not end within %v\n%s", Patience, p.output.String())
	}
}

// FreePort is a port that nothing listens on; see upstream.FreePort.
func FreePort(t testing.TB) string {
	t.Helper()
	port, err := upstream.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Kill ends the process with SIGKILL and waits until it is gone. A server that
// had ended before by itself is a failure.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	select {
	case <-p.exited:
		if p.ended {
			return
		}
		if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
			t.Errorf("the server ended by itself: %v\n%s", p.cmd.ProcessState, p.output.String())
		}
		return
	default:
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	<-p.exited
}

// tail keeps the end of what a process writes.
type tail struct {
	mu      sync.Mutex
	data    bytes.Buffer
	written int64
}

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written += int64(len(p))
	const limit = 1 << 16
	if w.data.Len()+len(p) > limit {
		w.data.Next(w.data.Len() / 2)
	}
	return w.data.Write(p)
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.data.String()
}

// total is how many bytes were written.
func (w *tail) total() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written
}
