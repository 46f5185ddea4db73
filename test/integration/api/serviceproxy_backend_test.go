package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const servicesPath = "/apis/portolan.dev/v1/namespaces/default/services/"

// seen is what a backend got.
type seen struct {
	Method, URI, Body, Proto string
	TLS                      bool
	Header                   http.Header
}

// backend tells what it got, but for a few paths.
func backend(w http.ResponseWriter, req *http.Request) {
	switch req.URL.Path {
	case "/redirect":
		http.Redirect(w, req, "/elsewhere/?a=b", http.StatusFound)
	case "/abroad":
		http.Redirect(w, req, "http://127.0.0.2:1/", http.StatusFound)
	case "/html":
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<a href="/page">page</a>`)
	case "/teapot":
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("X-Of-Backend", "yes")
		w.WriteHeader(http.StatusTeapot)
	case "/slow":
		io.WriteString(w, "a while ")
		w.(http.Flusher).Flush()
		select {
		case <-req.Context().Done():
		case <-time.After(100 * time.Millisecond):
			io.WriteString(w, "later")
		}
	case "/websocket":
		websocket.Handler(framework.Echo).ServeHTTP(w, req)
	case "/upgrade":
		shout(w, req)
	default:
		body, _ := io.ReadAll(req.Body)
		json.NewEncoder(w).Encode(seen{req.Method, req.URL.RequestURI(), string(body), req.Proto, req.TLS != nil, req.Header})
	}
}

// shout switches to a protocol of its own, which answers lines in capitals.
func shout(w http.ResponseWriter, req *http.Request) {
	conn, stream, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", req.Header.Get("Upgrade"))
	for {
		line, err := stream.ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(conn, strings.ToUpper(line))
	}
}

// portOf is the address and the port of a test server.
func portOf(t *testing.T, server *httptest.Server) (string, int32) {
	t.Helper()
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return host, int32(number)
}

// store puts Endpoints into etcd, since the API does not accept all of the
// addresses that could be there.
func store(t *testing.T, etcd *framework.Etcd, name string, subsets ...corev1.EndpointSubset) {
	t.Helper()
	raw, err := json.Marshal(&v1.Endpoints{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1.SchemeGroupVersion.String(), Kind: "Endpoints"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Subsets:    subsets,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Client.Put(t.Context(), "/registry/portolan.dev/endpoints/default/"+name, string(raw)); err != nil {
		t.Fatal(err)
	}
}

func subset(ip, portName string, port int32) corev1.EndpointSubset {
	return corev1.EndpointSubset{
		Addresses: []corev1.EndpointAddress{{IP: ip, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "web"}}},
		Ports:     []corev1.EndpointPort{{Name: portName, Port: port}},
	}
}

// caller is the administrator. It follows no redirects, and uses HTTP/2 where
// possible.
type caller struct {
	t      *testing.T
	config *rest.Config
	client *http.Client
}

func callerOf(t *testing.T, server *framework.Server) *caller {
	t.Helper()
	client, err := rest.HTTPClientFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	client.CheckRedirect = framework.FollowNone
	return &caller{t: t, config: server.Config, client: client}
}

// overHTTP1 is the same caller in the version of HTTP that has hops to tell
// about and connections to take over.
func (c *caller) overHTTP1() *caller {
	c.t.Helper()
	config, err := rest.TLSConfigFor(c.config)
	if err != nil {
		c.t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	c.t.Cleanup(client.CloseIdleConnections)
	return &caller{t: c.t, config: c.config, client: client}
}

// do makes a request of the Services' path and returns the answer with its body.
func (c *caller) do(method, path, body string, header http.Header) (*http.Response, string) {
	c.t.Helper()
	return framework.Send(c.t, c.client, method, c.config.Host+servicesPath+path, strings.NewReader(body), header)
}

// refused wants a Status with a code and a message.
func (c *caller) refused(path string, code int, message string) {
	c.t.Helper()
	response, text := c.do(http.MethodGet, path, "", nil)
	var status metav1.Status
	if err := json.Unmarshal([]byte(text), &status); err != nil || response.StatusCode != code || status.Message != message {
		c.t.Errorf("%s: %d %s\nwant %d %s", path, response.StatusCode, text, code, message)
	}
}

// got wants the backend to be reached and returns what it got.
func (c *caller) got(method, path, body string, header http.Header) (what seen) {
	c.t.Helper()
	response, text := c.do(method, path, body, header)
	if err := json.Unmarshal([]byte(text), &what); err != nil || response.StatusCode != http.StatusOK || what.Method != method {
		c.t.Errorf("%s %s: %d %s", method, path, response.StatusCode, text)
	}
	return what
}

const (
	ownCIDR   = " --service-proxy-allow-cidrs, where loopback, link-local and the server's own need a CIDR to themselves"
	noCluster = ": the server has no cluster to ask for Pods, and none of the addresses is in its" + ownCIDR
	noPod     = ": none of the addresses is that of a Pod in the namespace, or in the server's" + ownCIDR
)

// startProxied starts a server with the Service px, whose port 80 is a plain
// backend and whose port 443 is one with TLS. The other networks are reached
// beside 127.0.0.1.
func startProxied(t *testing.T, networks ...string) (*framework.Etcd, *framework.Server, *httptest.Server) {
	t.Helper()
	plain, secure := httptest.NewServer(http.HandlerFunc(backend)), httptest.NewUnstartedServer(http.HandlerFunc(backend))
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	etcd := framework.StartEtcd(t)
	server := framework.Start(t, func(o *options.Options) {
		framework.On(etcd)(o)
		o.ServiceProxyAllowCIDRs = append(networks, "127.0.0.1/32")
	})
	service := serviceWith("px", func(spec *corev1.ServiceSpec) {
		spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "tls", Port: 443}}
	})
	if _, err := servicesOf(server).Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	host, port := portOf(t, plain)
	_, securePort := portOf(t, secure)
	store(t, etcd, "px", subset(host, "http", port), subset(host, "tls", securePort))
	return etcd, server, plain
}
