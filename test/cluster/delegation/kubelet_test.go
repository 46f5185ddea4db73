//go:build e2e

package delegation

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// kubelet answers kube-apiserver as a kubelet does (pkg/kubelet/server), for containers
// that know three commands: echo, cat and fail.
type kubelet struct {
	t      testing.TB
	server *httptest.Server
	// more lets a log that is followed go on to its next line.
	more chan struct{}
}

// startKubelet starts the kubelet of the node n.
func (g *ground) startKubelet() *kubelet {
	g.t.Helper()
	k := &kubelet{t: g.t, more: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/containerLogs/{namespace}/{pod}/{container}", k.logs)
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", k.exec)
	mux.HandleFunc("/attach/{namespace}/{pod}/{container}", k.exec)
	mux.HandleFunc("/portForward/{namespace}/{pod}", k.portForward)
	k.server = httptest.NewUnstartedServer(mux)
	// Upgrades need HTTP/1.1.
	k.server.TLS = &tls.Config{NextProtos: []string{"http/1.1"}}
	k.server.StartTLS()
	g.t.Cleanup(k.server.Close)
	nodes := g.client.CoreV1().Nodes()
	node, err := nodes.Get(g.t.Context(), "n", metav1.GetOptions{})
	g.must(err)
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(k.server.Listener.Addr().(*net.TCPAddr).Port)
	_, err = nodes.UpdateStatus(g.t.Context(), node, metav1.UpdateOptions{})
	g.must(err)
	return k
}

// logs writes two lines. Where the log is followed, the second one waits.
func (k *kubelet) logs(w http.ResponseWriter, req *http.Request) {
	fmt.Fprintf(w, "first line of %s\n", req.PathValue("pod"))
	if err := http.NewResponseController(w).Flush(); err != nil {
		k.t.Error(err)
	}
	if req.URL.Query().Get("follow") == "true" {
		<-k.more
	}
	fmt.Fprintln(w, "second line")
}

// upgrade makes a connection of streams, and passes those that the client opens to a
// function.
func (k *kubelet) upgrade(w http.ResponseWriter, req *http.Request, protocol string, opened func(httpstream.Stream)) httpstream.Connection {
	if _, err := httpstream.Handshake(req, w, []string{protocol}); err != nil {
		k.t.Error(err)
		return nil
	}
	return spdy.NewResponseUpgrader().UpgradeResponse(w, req, func(stream httpstream.Stream, replied <-chan struct{}) error {
		go func() {
			<-replied
			opened(stream)
		}()
		return nil
	})
}

// exec runs a command, or attaches to a container that runs cat.
func (k *kubelet) exec(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	expected := 1
	for _, name := range []string{"input", "output", "error"} {
		if query.Get(name) == "1" {
			expected++
		}
	}
	var mu sync.Mutex
	streams, all := map[string]httpstream.Stream{}, make(chan struct{})
	conn := k.upgrade(w, req, "v4.channel.k8s.io", func(stream httpstream.Stream) {
		mu.Lock()
		defer mu.Unlock()
		if streams[stream.Headers().Get("streamType")] = stream; len(streams) == expected {
			close(all)
		}
	})
	if conn == nil {
		return
	}
	defer conn.Close()
	select {
	case <-all:
	case <-conn.CloseChan():
		return
	}
	command := query["command"]
	if len(command) == 0 {
		command = []string{"cat"}
	}
	status := `{"metadata":{},"status":"Success"}`
	switch command[0] {
	case "echo":
		fmt.Fprintln(streams["stdout"], strings.Join(command[1:], " "))
	case "cat":
		if _, err := io.Copy(streams["stdout"], streams["stdin"]); err != nil {
			k.t.Error(err)
		}
	default:
		fmt.Fprintln(streams["stderr"], "it failed")
		status = `{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code","reason":"NonZeroExitCode",` +
			`"details":{"causes":[{"reason":"ExitCode","message":"3"}]}}`
	}
	fmt.Fprint(streams["error"], status)
	for _, stream := range streams {
		_ = stream.Close()
	}
	<-conn.CloseChan()
}

// portForward answers each line with the port that it came to.
func (k *kubelet) portForward(w http.ResponseWriter, req *http.Request) {
	conn := k.upgrade(w, req, "portforward.k8s.io", func(stream httpstream.Stream) {
		if stream.Headers().Get("streamType") != "data" {
			_ = stream.Close()
			return
		}
		var line [100]byte
		n, err := stream.Read(line[:])
		if err != nil {
			k.t.Error(err)
		}
		fmt.Fprintf(stream, "%s: %s", stream.Headers().Get("port"), line[:n])
		_ = stream.Close()
	})
	if conn != nil {
		defer conn.Close()
		<-conn.CloseChan()
	}
}
