//go:build e2e

package aggregated

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// serveProxied runs the server of a Pod until the test ends. It returns the path
// of the proxy to the Pod's Service when the Service has the Pod's address.
func (g *fixture) serveProxied(t *testing.T, namespace string) string {
	t.Helper()
	const address = "192.0.2.200"
	listener, err := net.Listen("tcp", address+":8080")
	if err != nil {
		t.Fatal(err)
	}
	backend := &http.Server{Handler: http.HandlerFunc(answer)}
	served := make(chan error, 1)
	go func() { served <- backend.Serve(listener) }()
	t.Cleanup(func() {
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})

	g.createService(t, namespace, newService("web", func(svc *v1.Service) {
		svc.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: portNumber(8080)}}
	}))
	g.createPod(t, namespace, "backend", address, map[string]string{"app": "web"})
	watch := startWatch(t, framework.NewKubectl(t, g.kubeconfig), "endpoints.portolan.dev", "-n", namespace)
	watch.await("web " + address + ":8080")
	return "/apis/portolan.dev/v1/namespaces/" + namespace + "/services/http:web:http/proxy"
}

// testServiceProxy reaches a Pod through a Service, and the cluster's address.
func testServiceProxy(t *testing.T, g *fixture) {
	path := g.serveProxied(t, g.newNamespace(t, "proxy")) + "/a/b?c=d"
	k := framework.NewKubectl(t, g.kubeconfig)
	k.Expect(k.Run("get", "--raw", path), "GET /a/b?c=d")

	config, err := rest.TLSConfigFor(g.admin)
	if err != nil {
		t.Fatal(err)
	}
	// Upgrades are of HTTP/1.1.
	config.NextProtos = []string{"http/1.1"}
	connection, err := tls.Dial("tcp", clusterAddress+":6443", config)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_, err = fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: cluster\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", path)
	if err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %v, %v", response, err)
	}
	for _, want := range []string{"there\n", "and back\n"} {
		if _, err := io.WriteString(connection, want); err != nil {
			t.Fatal(err)
		}
		if got, err := reader.ReadString('\n'); err != nil || got != want {
			t.Errorf("echo: %q, %v", got, err)
		}
	}
}

// answer says what was asked for, or echoes after an upgrade.
func answer(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		fmt.Fprintf(w, "%s %s", r.Method, r.URL)
		return
	}
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
		return
	}
	for {
		line, err := buffered.ReadString('\n')
		if err != nil {
			return
		}
		if _, err := io.WriteString(connection, line); err != nil {
			return
		}
	}
}
