package serviceproxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	root     = "../../.."
	patience = time.Minute
	// services are those of the namespace, at the door where a kube-apiserver has
	// them.
	services = "/api/v1/namespaces/default/services/"
)

func TestMain(m *testing.M) { framework.Main(m) }

// listing lets a server reach networks.
func listing(networks ...string) func(*options.Options) {
	return func(o *options.Options) { o.ServiceProxyAllowCIDRs = networks }
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, ".bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make test or make e2e, which build it", err)
	}
	return path
}

// kubectl runs kubectl by a kubeconfig.
type kubectl struct {
	t                  *testing.T
	binary, kubeconfig string
}

func newKubectl(t *testing.T, kubeconfig string) *kubectl {
	t.Helper()
	return &kubectl{t: t, binary: program(t, "kubectl"), kubeconfig: kubeconfig}
}

func (k *kubectl) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(k.t.Context(), k.binary, args...)
	// HOME keeps kubectl's cache in the test's own directory.
	cmd.Env = append(os.Environ(), "KUBECONFIG="+k.kubeconfig, "HOME="+filepath.Dir(k.kubeconfig))
	return cmd
}

// run returns what a command that must succeed prints.
func (k *kubectl) run(args ...string) string {
	k.t.Helper()
	out, err := k.command(args...).CombinedOutput()
	if err != nil {
		k.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// fail wants a command to fail with a text.
func (k *kubectl) fail(want string, args ...string) {
	k.t.Helper()
	out, err := k.command(args...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(out), want) {
		k.t.Errorf("kubectl %s: %v\n got %s\nwant %s", strings.Join(args, " "), err, out, want)
	}
}

// create makes what a manifest has, and fails with a text unless that is empty.
func (k *kubectl) create(manifest, refusal string) {
	k.t.Helper()
	file := filepath.Join(k.t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		k.t.Fatal(err)
	}
	if refusal != "" {
		k.fail(refusal, "create", "-f", file)
		return
	}
	k.run("create", "-f", file)
}

var serving = regexp.MustCompile(`^Starting to serve on (127\.0\.0\.1:[0-9]+)\n$`)

// proxy runs kubectl proxy until the test ends, and returns where it is.
func (k *kubectl) proxy() string {
	k.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, k.binary, "proxy", "--port=0")
	cmd.Env = k.command().Env
	out, err := cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() {
		stop()
		var killed *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &killed) {
			k.t.Errorf("kubectl proxy ended by itself: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	found := serving.FindStringSubmatch(line)
	if err != nil || found == nil {
		k.t.Fatalf("kubectl proxy says %q, error %v", line, err)
	}
	return "http://" + found[1]
}

// caller asks below a URL and follows no redirect.
type caller struct {
	t      *testing.T
	base   string
	client *http.Client
}

func newCaller(t *testing.T, base string) *caller {
	t.Helper()
	client := &http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(client.CloseIdleConnections)
	return &caller{t: t, base: base, client: client}
}

// do returns an answer with its body.
func (c *caller) do(method, path string, body io.Reader, header http.Header) (*http.Response, string) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	response, err := c.client.Do(request)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return response, string(text)
}

// get wants a code and a text in the body.
func (c *caller) get(path string, code int, want string) {
	c.t.Helper()
	if response, text := c.do(http.MethodGet, path, nil, nil); response.StatusCode != code || !strings.Contains(text, want) {
		c.t.Errorf("GET %s: %d %s\nwant %d %s", path, response.StatusCode, text, code, want)
	}
}

// await asks until the answer has a code and a text in its body.
func (c *caller) await(path string, code int, want string) {
	c.t.Helper()
	var last string
	err := wait.PollUntilContextTimeout(c.t.Context(), 50*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		response, text := c.do(http.MethodGet, path, nil, nil)
		last = text
		return response.StatusCode == code && strings.Contains(text, want), nil
	})
	if err != nil {
		c.t.Errorf("GET %s: %v\n got %s\nwant %d %s", path, err, last, code, want)
	}
}
