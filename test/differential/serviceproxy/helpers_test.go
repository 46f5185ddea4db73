package serviceproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// services is the path of the namespace's Services in the core API group.
const services = "/api/v1/namespaces/default/services/"

func TestMain(m *testing.M) { framework.Main(m) }

// listing allows the service proxy to reach networks.
func listing(networks ...string) func(*options.Options) {
	return func(o *options.Options) { o.ServiceProxyAllowCIDRs = networks }
}

// create creates the objects of a manifest.
func create(k *framework.Kubectl, manifest string) { k.Feed(manifest, "create", "-f", "-") }

// reject wants the server to reject a manifest with a text.
func reject(k *framework.Kubectl, manifest, want string) {
	k.Expect(k.FailFed(manifest, "create", "-f", "-"), want)
}

var serving = regexp.MustCompile(`^Starting to serve on (127\.0\.0\.1:[0-9]+)\n$`)

// startProxy runs kubectl proxy until the test ends, and returns its URL.
func startProxy(t *testing.T, k *framework.Kubectl) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	cmd := k.Command(ctx, "proxy", "--port=0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		var killed *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &killed) {
			t.Errorf("kubectl proxy ended by itself: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	found := serving.FindStringSubmatch(line)
	if err != nil || found == nil {
		t.Fatalf("kubectl proxy says %q, error %v", line, err)
	}
	return "http://" + found[1]
}

// caller sends requests below a URL, and does not follow redirects.
type caller struct {
	t      *testing.T
	base   string
	client *http.Client
}

func newCaller(t *testing.T, base string) *caller {
	t.Helper()
	client := &http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: framework.FollowNone,
	}
	t.Cleanup(client.CloseIdleConnections)
	return &caller{t: t, base: base, client: client}
}

// do returns an answer with its body.
func (c *caller) do(method, path string, body io.Reader, header http.Header) (*http.Response, string) {
	c.t.Helper()
	return framework.Send(c.t, c.client, method, c.base+path, body, header)
}

// get wants a code and a text in the body.
func (c *caller) get(path string, code int, want string) {
	c.t.Helper()
	if response, text := c.do(http.MethodGet, path, nil, nil); response.StatusCode != code || !strings.Contains(text, want) {
		c.t.Errorf("GET %s: %d %s\nwant %d %s", path, response.StatusCode, text, code, want)
	}
}

// await repeats a request until the answer has a code and a text in its body.
func (c *caller) await(path string, code int, want string) {
	c.t.Helper()
	framework.Eventually(c.t, "GET "+path, func(context.Context) (bool, error) {
		response, text := c.do(http.MethodGet, path, nil, nil)
		return response.StatusCode == code && strings.Contains(text, want),
			fmt.Errorf("got %d %s\nwant %d %s", response.StatusCode, text, code, want)
	})
}
