package serviceproxy

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/websocket"

	"github.com/portolan-dev/portolan/pkg/cmd"
	"github.com/portolan-dev/portolan/pkg/users"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	loopbackRefused = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
	ownCIDR         = "--service-proxy-allow-cidrs, where loopback, link-local and the server's own need a CIDR to themselves"
)

// web is a Service, and its Endpoints on loopback.
const web = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: https, port: 443, targetPort: 8443}
---
apiVersion: v1
kind: Endpoints
metadata: {name: web}
subsets:
- addresses: [{ip: 127.0.0.1}]
  ports: [{name: http, port: PLAIN}, {name: https, port: SECURE}]
`

// startWeb starts a server with the Service web, whose backend is on loopback,
// and a kubectl proxy in front of it.
func startWeb(t *testing.T, namespace string) (*framework.Kubectl, *caller, *backend) {
	t.Helper()
	k := framework.NewKubectl(t, framework.Start(t, listing("127.0.0.0/8")).Kubeconfig)
	b := newBackend("backend")
	create(k, strings.NewReplacer("{name: web}", "{name: web, namespace: "+namespace+"}",
		"PLAIN", b.serve(t, "127.0.0.1", false), "SECURE", b.serve(t, "127.0.0.1", true)).Replace(web))
	return k, newCaller(t, startProxy(t, k)), b
}

// TestNames uses each form of a Service's name.
func TestNames(t *testing.T) {
	t.Parallel()
	k, c, _ := startWeb(t, "default")
	for name, secure := range map[string]bool{
		"web:http": false, "http:web:http": false, "web:80": false, "http:web:80": false, ":web:80": false,
		"https:web:https": true, "https:web:443": true,
	} {
		want := fmt.Sprintf("GET /path?q=1 TLS %t", secure)
		c.get(services+name+"/proxy/path?q=1", 200, want)
		if out := k.Run("get", "--raw", services+name+"/proxy/path?q=1"); !strings.Contains(out, want) {
			t.Errorf("get --raw %s: %s", name, out)
		}
	}
	// The TLS server answers a plain HTTP request with plain text.
	c.get(services+"web:https/proxy/", 400, "Client sent an HTTP request to an HTTPS server.")
	for name, refusal := range map[string]string{
		"web": `no endpoints available for service \"web\"`, "web:": `no endpoints available for service \"web:\"`,
		"web:none": `no endpoints available for service \"web:none\"`, "web:81": `no service port 81 found for service \"web\"`,
	} {
		c.get(services+name+"/proxy/", 503, refusal)
	}
	c.get(services+"ftp:web:80/proxy/", 400, `invalid service request \"ftp:web:80\"`)
	c.get(services+"none:80/proxy/", 404, `services \"none\" not found`)
	k.Expect(k.Fail("get", "--raw", services+"web:81/proxy/"), `no service port 81 found for service "web"`)
	// Nodes and Pods have no proxies.
	for _, path := range []string{"/api/v1/nodes/node-1/proxy/", "/api/v1/namespaces/default/pods/web/proxy/"} {
		c.get(path, 404, "the server could not find the requested resource")
	}
}

// TestClusterInfo requests the URL that kubectl cluster-info prints for a
// system Service.
func TestClusterInfo(t *testing.T) {
	t.Parallel()
	k, c, _ := startWeb(t, "kube-system")
	k.Run("label", "service", "web", "-n", "kube-system", "kubernetes.io/cluster-service=true", "kubernetes.io/name=Web")
	info := k.Run("cluster-info")
	server := k.Run("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
	_, path, found := strings.Cut(info, "Web is running at "+server)
	if !found || !strings.HasPrefix(info, "Kubernetes control plane is running at "+server+"\n") {
		t.Fatalf("cluster-info: %s", info)
	}
	path, _, _ = strings.Cut(path, "\n")
	c.get(path+"/", 200, "backend: HTTP/1.1 GET / TLS false")
	response, _ := c.do(http.MethodGet, path, nil, nil)
	if response.StatusCode != http.StatusMovedPermanently || response.Header.Get("Location") != path+"/" {
		t.Errorf("%s: %d to %s", path, response.StatusCode, response.Header.Get("Location"))
	}
}

// TestStreams sends messages, streams and large bodies in both directions.
func TestStreams(t *testing.T) {
	t.Parallel()
	_, c, b := startWeb(t, "default")
	for _, name := range []string{"web:http", "https:web:https"} {
		path := services + name + "/proxy"
		sum := fmt.Sprintf("%d bytes %x, length ", large, sha256.Sum256(make([]byte, large)))
		_, text := c.do(http.MethodPost, path+"/sum", strings.NewReader(string(make([]byte, large))), nil)
		if text != fmt.Sprintf("%s%d, error <nil>", sum, large) {
			t.Errorf("%s, a large body: %s", name, text)
		}
		_, text = c.do(http.MethodPut, path+"/sum", io.LimitReader(zeros{}, large), nil)
		if text != sum+"-1, error <nil>" {
			t.Errorf("%s, a body in chunks: %s", name, text)
		}
		if _, text := c.do(http.MethodGet, path+"/large", nil, nil); len(text) != large || !strings.HasSuffix(text, "0123456789abcdef") {
			t.Errorf("%s, a large answer: %d bytes", name, len(text))
		}
		c.stream(path+"/stream", b.seen)
		c.websocket(path + "/websocket")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// stream reads a line before the next one is written.
func (c *caller) stream(path string, seen chan<- struct{}) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.base+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	response, err := c.client.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "first\n" {
		c.t.Fatalf("%s: %q, error %v", path, line, err)
	}
	seen <- struct{}{}
	if line, err := lines.ReadString('\n'); err != nil || line != "second\n" {
		c.t.Errorf("%s: %q, error %v", path, line, err)
	}
}

func (c *caller) websocket(path string) {
	c.t.Helper()
	config, err := websocket.NewConfig("ws"+strings.TrimPrefix(c.base, "http")+path, c.base)
	if err != nil {
		c.t.Fatal(err)
	}
	socket, err := config.DialContext(c.t.Context())
	if err != nil {
		c.t.Fatalf("%s: %v", path, err)
	}
	for _, message := range []string{"one", strings.Repeat("much", 1<<16)} {
		if err := websocket.Message.Send(socket, message); err != nil {
			c.t.Fatal(err)
		}
		var answer string
		if err := websocket.Message.Receive(socket, &answer); err != nil || answer != message {
			c.t.Errorf("%s: %d bytes answer %d, error %v", path, len(message), len(answer), err)
		}
	}
	if err := socket.Close(); err != nil {
		c.t.Error(err)
	}
}

// TestRights rejects users of the two groups, who lack the permission for
// proxies.
func TestRights(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, listing("127.0.0.1/32"))
	create(framework.NewKubectl(t, server.Kubeconfig), strings.NewReplacer("PLAIN", "1", "SECURE", "2").Replace(web))
	for _, group := range []string{users.Readers, users.Writers} {
		name := strings.TrimPrefix(group, "portolan:")
		add := cmd.NewCommand()
		add.SetArgs([]string{"user", "add", name, "--group=" + group, "--data-dir=" + server.DataDir})
		add.SetOut(t.Output())
		if err := add.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		k := framework.NewKubectl(t, filepath.Join(server.DataDir, name+".kubeconfig"))
		if out := k.Run("get", "service", "web", "-o", "name"); out != "service/web\n" {
			t.Errorf("%s: %s", name, out)
		}
		k.Expect(k.Fail("get", "--raw", services+"web:http/proxy/"), `services "web:http" is forbidden: User "`+name+
			`" cannot get resource "services/proxy" in API group "" in the namespace "default"`)
	}
}
