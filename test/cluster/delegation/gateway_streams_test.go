//go:build e2e

package delegation

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestGatewayStreams has kubectl stream from and to a Pod through the gateway and past it,
// over WebSockets and SPDY. The user has a certificate.
func TestGatewayStreams(t *testing.T) {
	g := newGround(t)
	server := g.gateway(true)
	k := g.administrator(server.Config.Host, server.DataDir)
	direct := g.administrator(g.kube.Config.Host, filepath.Dir(g.kube.Kubeconfig))
	g.startPod("web", "192.0.2.7")
	kubelet := g.startKubelet()
	k.Run("expose", "pod", "web", "--port=80", "--target-port=8080")

	input := strings.Repeat("0123456789abcde\n", 1<<13)
	for _, websockets := range []string{"true", "false"} {
		t.Setenv("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets)
		t.Setenv("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets)
		for _, test := range []struct{ command, stdin, want string }{
			{"exec web -- echo hello", "", "hello\n"},
			{"exec -i web -- cat", input, input},
			{"exec web -- fail", "", "it failed\ncommand terminated with exit code 3\n"},
			{"exec none -- echo", "", `Error from server (NotFound): pods "none" not found` + "\n"},
			{"attach -i -q web", "attached\n", "attached\n"},
			{"logs web", "", "first line of web\nsecond line\n"},
			{"logs svc/web", "", "first line of web\nsecond line\n"},
			{"logs web -c none", "", "error: container none is not valid for pod web out of: c\n"},
		} {
			got, gotErr := k.Try(test.stdin, strings.Fields(test.command)...)
			if got != test.want {
				t.Errorf("WebSockets %s: kubectl %s: %.1000q, want %.1000q", websockets, test.command, got, test.want)
			}
			if strings.Contains(test.command, "svc/") {
				// kube-apiserver does not have the Service.
				continue
			}
			if want, err := direct.Try(test.stdin, strings.Fields(test.command)...); got != want || (err == nil) != (gotErr == nil) {
				t.Errorf("kubectl %s: without the gateway %.1000q", test.command, want)
			}
		}
		for name, at := range map[string]*framework.Kubectl{"the gateway": k, "kube-apiserver": direct} {
			follow(t, name, at, kubelet)
		}
		forward(t, k, "svc/web", "80")
		forward(t, k, "pod/web", "8080")
		forward(t, direct, "pod/web", "8080")
	}
}

// follow expects each line of a log when it is written.
func follow(t *testing.T, name string, k *framework.Kubectl, kubelet *kubelet) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	command := k.Command(ctx, "logs", "-f", "web")
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "first line of web" {
		t.Fatalf("%s: the first line is %q", name, lines.Text())
	}
	kubelet.more <- struct{}{}
	if !lines.Scan() || lines.Text() != "second line" || lines.Scan() {
		t.Errorf("%s: the second line is %q", name, lines.Text())
	}
	if err := command.Wait(); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// forward sends a line to the port 8080 of the Pod.
func forward(t *testing.T, k *framework.Kubectl, what, port string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	command := k.Command(ctx, "port-forward", "--address=127.0.0.1", what, ":"+port)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = command.Wait()
	}()
	lines := bufio.NewScanner(out)
	lines.Scan()
	found := regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) -> 8080$`).FindStringSubmatch(lines.Text())
	if found == nil {
		t.Fatalf("%s: kubectl says %q", what, lines.Text())
	}
	conn, err := net.Dial("tcp", found[1])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	if got, err := bufio.NewReader(conn).ReadString('\n'); got != "8080: hello\n" {
		t.Errorf("%s: got %q: %v", what, got, err)
	}
}
