package api

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/admission"
	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestServiceProxy goes to Services by each form of their name and with each
// method.
func TestServiceProxy(t *testing.T) {
	t.Parallel()
	etcd, server, plain := startProxied(t)
	c := callerOf(t, server)

	for id, tls := range map[string]bool{
		"px:http": false, "px:80": false, "http:px:http": false, "http:px:80": false, ":px:80": false,
		"https:px:tls": true, "https:px:443": true,
	} {
		if what := c.got(http.MethodGet, id+"/proxy/", "", nil); what.URI != "/" || what.TLS != tls {
			t.Errorf("%s: %+v", id, what)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		if what := c.got(method, "px:80/proxy/a", "body of "+method, nil); what.Body != "body of "+method {
			t.Errorf("%s: %+v", method, what)
		}
	}
	if response, text := c.do(http.MethodHead, "px:80/proxy/teapot", "", nil); response.StatusCode != http.StatusTeapot || text != "" {
		t.Errorf("HEAD: %d %s", response.StatusCode, text)
	}
	for path, want := range map[string]string{
		"/a":                    "/a",
		"/a/":                   "/a/",
		"/a/b?c=d&c=e&f":        "/a/b?c=d&c=e&f",
		"/a/?path=/other":       "/a/?path=/other",
		"/a%20b/":               "/a%20b/",
		"/?timeout=1ms&dry=Run": "/?timeout=1ms&dry=Run",
	} {
		if what := c.got(http.MethodGet, "px:80/proxy"+path, "", nil); what.URI != want {
			t.Errorf("%s: %s, want %s", path, what.URI, want)
		}
	}
	response, _ := c.do(http.MethodGet, "px:80/proxy?a=b", "", nil)
	if location := response.Header.Get("Location"); response.StatusCode != http.StatusMovedPermanently ||
		location != servicesPath+"px:80/proxy/?a=b" {
		t.Errorf("without a path: %d to %q", response.StatusCode, location)
	}

	// Only this server may see credentials and identities.
	what := c.overHTTP1().got(http.MethodGet, "px:80/proxy/", "", http.Header{
		"Authorization": {"Bearer secret"}, "Proxy-Authorization": {"Basic secret"}, "Connection": {"X-Hop"}, "X-Hop": {"secret"},
		"X-Remote-User": {"secret"}, "X-Remote-Group": {"secret"}, "X-Remote-Extra-Scopes": {"secret"},
		"Impersonate-User": {"secret"}, "Impersonate-Group": {"system:masters"}, "X-Of-Caller": {"kept"},
	})
	if headers := fmt.Sprint(what.Header); strings.Contains(headers, "secret") || what.Header.Get("X-Of-Caller") != "kept" ||
		what.Header.Get("X-Forwarded-Uri") != servicesPath+"px:80/proxy/" {
		t.Errorf("the backend sees %s", headers)
	}

	expectRewritten(c)
	// A proxied request takes as long as it takes: it has no timeout, and the
	// backend's parameter of that name is not the server's.
	for _, id := range []string{"px:80", "https:px:443"} {
		if response, text := c.do(http.MethodGet, id+"/proxy/slow?timeout=1ms", "", nil); response.StatusCode != http.StatusOK ||
			text != "a while later" {
			t.Errorf("%s takes its time: %d %s", id, response.StatusCode, text)
		}
	}

	host, port := portOf(t, plain)
	store(t, etcd, "bare", subset(host, "", port))
	if what := c.got(http.MethodGet, "bare/proxy/x", "", nil); what.URI != "/x" {
		t.Errorf("a port without a name: %+v", what)
	}
}

// expectRewritten wants what a backend answers to be changed where it would lead
// past the proxy, and nowhere else.
func expectRewritten(c *caller) {
	t := c.t
	t.Helper()
	response, _ := c.do(http.MethodGet, "px:80/proxy/teapot", "", nil)
	if response.StatusCode != http.StatusTeapot || response.Header.Get("X-Of-Backend") != "yes" ||
		response.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("the backend's answer: %d %v", response.StatusCode, response.Header)
	}
	response, _ = c.do(http.MethodGet, "px:80/proxy/redirect", "", nil)
	if location := response.Header.Get("Location"); response.StatusCode != http.StatusFound ||
		!strings.HasSuffix(location, servicesPath+"px:80/proxy/elsewhere/?a=b") {
		t.Errorf("a redirect: %d to %q", response.StatusCode, location)
	}
	response, _ = c.do(http.MethodGet, "px:80/proxy/abroad", "", nil)
	if location := response.Header.Get("Location"); response.StatusCode != http.StatusFound || location != "http://127.0.0.2:1/" {
		t.Errorf("a redirect to another host: %d to %q", response.StatusCode, location)
	}
	if _, text := c.do(http.MethodGet, "px:80/proxy/html", "", nil); !strings.Contains(text, servicesPath+"px:80/proxy/page") {
		t.Errorf("a page: %s", text)
	}
}

// TestServiceProxyRefusals has upstream's words for what can't be reached.
func TestServiceProxyRefusals(t *testing.T) {
	t.Parallel()
	etcd, server, plain := startProxied(t, "0.0.0.0/0", "::/0")
	c := callerOf(t, server)
	_, port := portOf(t, plain)
	notReady := subset("127.0.0.1", "", port)
	notReady.Addresses, notReady.NotReadyAddresses = nil, notReady.Addresses
	store(t, etcd, "empty")
	store(t, etcd, "waiting", notReady)
	closed := httptest.NewServer(nil)
	_, closedPort := portOf(t, closed)
	closed.Close()
	store(t, etcd, "closed", subset("127.0.0.1", "", closedPort))
	// Loopback is not meant by 0.0.0.0/0, in whatever form it comes.
	elsewhere := map[string]string{"loopback": "127.0.0.2", "mapped": "::ffff:127.0.0.2", "loopback6": "::1", "name": "localhost",
		"unspecified": "0.0.0.0", "link": "169.254.169.254"}
	for name, ip := range elsewhere {
		store(t, etcd, name, subset(ip, "", port))
	}

	c.refused("ftp:px:80/proxy/", 400, `invalid service request "ftp:px:80"`)
	c.refused("a:b:c:d/proxy/", 400, `invalid service request "a:b:c:d"`)
	c.refused("px:81/proxy/", 503, `no service port 81 found for service "px"`)
	c.refused("px:nope/proxy/", 503, `no endpoints available for service "px:nope"`)
	c.refused("px/proxy/", 503, `no endpoints available for service "px"`)
	c.refused("nope:80/proxy/", 404, `services.portolan.dev "nope" not found`)
	c.refused("nope/proxy/", 404, `services.portolan.dev "nope" not found`)
	c.refused("https:empty:/proxy/", 503, `no endpoints available for service "empty"`)
	c.refused("http:waiting:/proxy/", 503, `no endpoints available for service "http:waiting:"`)
	c.refused("closed/proxy/", 503,
		fmt.Sprintf("error trying to reach service: dial tcp 127.0.0.1:%d: connect: connection refused", closedPort))
	c.refused("px:80/proxy/?dryRun=All", 400, "dryRun is not supported")
	for name := range elsewhere {
		c.refused(name+"/proxy/", 503, fmt.Sprintf("no endpoints available for service %q", name)+noCluster)
	}
}

// TestServiceProxyDefault reaches nothing where nobody vouches.
func TestServiceProxyDefault(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	t.Cleanup(plain.Close)
	etcd := framework.StartEtcd(t)
	server := framework.Start(t, framework.On(etcd))
	host, port := portOf(t, plain)
	store(t, etcd, "px", subset(host, "", port))
	store(t, etcd, "mapped", subset("::ffff:127.0.0.1", "", port))
	c := callerOf(t, server)
	c.refused("px/proxy/", 503, `no endpoints available for service "px"`+noCluster)
	c.refused("mapped/proxy/", 503, `no endpoints available for service "mapped"`+noCluster)
	if reached.Load() {
		t.Error("the backend was reached")
	}
}

// TestServiceProxyForms reaches addresses of both families, and IPv4 ones in
// the form of IPv6 as what they are.
func TestServiceProxyForms(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	six := httptest.NewUnstartedServer(http.HandlerFunc(backend))
	six.Listener.Close()
	six.Listener = listener
	six.Start()
	t.Cleanup(six.Close)
	etcd, server, plain := startProxied(t, "::1/128")
	c := callerOf(t, server)
	host, port := portOf(t, six)
	store(t, etcd, "six", subset(host, "", port))
	_, port = portOf(t, plain)
	store(t, etcd, "mapped", subset("::ffff:127.0.0.1", "", port))
	for _, id := range []string{"six", "mapped"} {
		if what := c.got(http.MethodGet, id+"/proxy/x/", "", nil); what.URI != "/x/" {
			t.Errorf("%s: %+v", id, what)
		}
		c.upgrades(id)
	}
}

// upgrades switches protocols and talks both ways.
func (c *caller) upgrades(id string) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.config.Host+servicesPath+id+"/proxy/upgrade?timeout=1ms", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "SPDY/3.1")
	response, err := c.overHTTP1().client.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	stream, ok := response.Body.(io.ReadWriter)
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Upgrade") != "SPDY/3.1" || !ok {
		text, _ := io.ReadAll(response.Body)
		c.t.Fatalf("%s: %d %v %s", id, response.StatusCode, response.Header, text)
	}
	answers := bufio.NewReader(stream)
	for _, line := range []string{"one\n", "two\n"} {
		if _, err := io.WriteString(stream, line); err != nil {
			c.t.Fatal(err)
		}
		if answer, err := answers.ReadString('\n'); err != nil || answer != strings.ToUpper(line) {
			c.t.Errorf("%s: %q answers %q, error %v", id, line, answer, err)
		}
	}
}

// TestServiceProxyUpgrades has streams through all of the server's filters.
func TestServiceProxyUpgrades(t *testing.T) {
	t.Parallel()
	_, server, _ := startProxied(t)
	c := callerOf(t, server)
	for _, id := range []string{"px:80", "https:px:443"} {
		c.upgrades(id)

		address := "wss" + strings.TrimPrefix(c.config.Host, "https") + servicesPath + id + "/proxy/websocket"
		config, err := websocket.NewConfig(address, c.config.Host)
		if err != nil {
			t.Fatal(err)
		}
		if config.TlsConfig, err = rest.TLSConfigFor(c.config); err != nil {
			t.Fatal(err)
		}
		socket, err := config.DialContext(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		for _, message := range []string{"one", strings.Repeat("much", 1<<16)} {
			if err := websocket.Message.Send(socket, message); err != nil {
				t.Fatal(err)
			}
			var answer string
			if err := websocket.Message.Receive(socket, &answer); err != nil || answer != message {
				t.Errorf("%s: %d bytes answer %d, error %v", id, len(message), len(answer), err)
			}
		}
		if err := socket.Close(); err != nil {
			t.Error(err)
		}
	}
	// The backend's refusal to switch is passed on.
	response, _ := c.do(http.MethodGet, "px:80/proxy/teapot", "", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}})
	if response.StatusCode != http.StatusTeapot {
		t.Errorf("a refusal to upgrade: %d", response.StatusCode)
	}
}

// TestServiceProxyToPods asks a cluster, of which there is no more than one
// Pod. No packet goes to its address, as TCP has no broadcasts: what tells is
// that the server tried.
func TestServiceProxyToPods(t *testing.T) {
	t.Parallel()
	const address = "255.255.255.255"
	asked := make(chan *http.Request, 10)
	cluster := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/api/v1/namespaces/default/pods/web" {
			asked <- req
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(&corev1.Pod{
				TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
				ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
				Status:     corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: address}, {IP: "127.0.0.1"}}},
			})
			return
		}
		http.NotFound(w, req)
	}))
	users, err := datadir.Ensure(t.TempDir(),
		datadir.Server{URL: "https://" + cluster.Listener.Addr().String(), IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(users.ServingCert, users.ServingKey)
	if err != nil {
		t.Fatal(err)
	}
	cluster.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	cluster.StartTLS()
	t.Cleanup(cluster.Close)
	etcd := framework.StartEtcd(t)
	server := framework.Start(t, func(o *options.Options) {
		framework.On(etcd)(o)
		// Only the cluster knows which addresses are Pods.
		o.CoreAPI.CoreAPIKubeconfigPath = users.Kubeconfig
		o.Authentication.ClientCert.ClientCA = users.CACert
		o.Authentication.SkipInClusterLookup = true
		o.Features.EnablePriorityAndFairness = false
		o.Admission.DisablePlugins = admission.RequireCluster().UnsortedList()
	})
	c := callerOf(t, server)

	store(t, etcd, "px", subset(address, "", 80))
	c.refused("px/proxy/", 503, "error trying to reach service: dial tcp "+address+":80: connect: network is unreachable")
	if len(asked) != 1 {
		t.Errorf("the cluster was asked %d times", len(asked))
	}
	store(t, etcd, "liar", subset("255.255.255.254", "", 80))
	c.refused("liar/proxy/", 503, `no endpoints available for service "liar"`+noPod)
	nobody := subset(address, "", 80)
	nobody.Addresses[0].TargetRef.Name = "nobody"
	store(t, etcd, "nobody", nobody)
	c.refused("nobody/proxy/", 503, `no endpoints available for service "nobody"`+noPod)
	store(t, etcd, "loopback", subset("127.0.0.1", "", 80))
	c.refused("loopback/proxy/", 503, `no endpoints available for service "loopback"`+noPod)
}

// TestServiceProxyIsPublished finds the subresource where clients look for it.
func TestServiceProxyIsPublished(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	resources, err := server.Client.Discovery().ServerResourcesForGroupVersion(v1.SchemeGroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, resource := range resources.APIResources {
		if resource.Name == "services/proxy" {
			found = true
			if verbs := strings.Join(resource.Verbs, ","); resource.Kind != "ServiceProxyOptions" || !resource.Namespaced ||
				verbs != "create,delete,get,patch,update" {
				t.Errorf("discovery: %+v", resource)
			}
		}
	}
	if !found {
		t.Error("services/proxy is not in discovery")
	}
	document, err := server.Client.Discovery().RESTClient().Get().AbsPath("/openapi/v3/apis/portolan.dev/v1").Do(t.Context()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	var api struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(document, &api); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"proxy", "proxy/{path}"} {
		path = strings.Replace(servicesPath, "default", "{namespace}", 1) + "{name}/" + path
		for _, method := range []string{"get", "post", "put", "patch", "delete", "head", "options", "parameters"} {
			if _, ok := api.Paths[path][method]; !ok {
				t.Errorf("OpenAPI has no %s of %s", method, path)
			}
		}
	}
}
