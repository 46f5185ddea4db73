//go:build e2e

package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const proxied = "proxied"

// proxySide is one of the two servers that are compared.
type proxySide struct {
	t      *testing.T
	client *http.Client
	host   string
	// path is that of the namespace, and version the apiVersion in it.
	path, version string
	// key is where etcd has the namespace's Endpoints.
	key   string
	store *clientv3.Client
}

func newProxySide(t *testing.T, config *rest.Config, store *clientv3.Client, group, version, key string) *proxySide {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &proxySide{
		t: t, client: client, host: config.Host, path: group + "/namespaces/" + proxied, version: version, key: key, store: store,
	}
}

// do returns the answer as text, with what differs between groups as upstream
// has it.
func (s *proxySide) do(method, path, body string, header http.Header) string {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.host+s.path+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range []string{"Date", "Audit-Id", "Content-Length"} {
		response.Header.Del(name)
	}
	var headers bytes.Buffer
	if err := response.Header.Write(&headers); err != nil {
		s.t.Fatal(err)
	}
	return strings.NewReplacer(
		s.host, "HOST", strings.TrimPrefix(s.host, "https://"), "HOST", s.path, "PATH",
		"services.portolan.dev", "services", `"group":"portolan.dev",`, "",
	).Replace(fmt.Sprintf("%d\n%s\n%s", response.StatusCode, &headers, text))
}

// endpoints stores Endpoints past the API, which accepts none on loopback.
func (s *proxySide) endpoints(name string, subsets ...corev1.EndpointSubset) {
	s.t.Helper()
	raw, err := json.Marshal(&corev1.Endpoints{
		TypeMeta:   metav1.TypeMeta{APIVersion: s.version, Kind: "Endpoints"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: proxied},
		Subsets:    subsets,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.store.Put(s.t.Context(), s.key+proxied+"/"+name, string(raw)); err != nil {
		s.t.Fatal(err)
	}
}

// tell answers with what it was asked.
func tell(w http.ResponseWriter, req *http.Request) {
	switch req.URL.Path {
	case "/redirect":
		http.Redirect(w, req, "/elsewhere/?a=b", http.StatusFound)
	case "/abroad":
		http.Redirect(w, req, "http://127.0.0.2:1/", http.StatusFound)
	case "/html":
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<a href="/page">page</a><img src="http://elsewhere/x.png">`)
	case "/teapot":
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.WriteHeader(http.StatusTeapot)
	default:
		body, _ := io.ReadAll(req.Body)
		fmt.Fprintf(w, "%s %s %s TLS %t\n%s\n", req.Proto, req.Method, req.URL.RequestURI(), req.TLS != nil, body)
		_ = req.Header.Write(w)
	}
}

// pod makes a Pod of the cluster, with addresses that a kubelet would write.
func pod(t *testing.T, client kubernetes.Interface, name string, ips ...string) {
	t.Helper()
	created, err := client.CoreV1().Pods(proxied).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	created.Status.Phase = corev1.PodRunning
	for _, ip := range ips {
		created.Status.PodIPs = append(created.Status.PodIPs, corev1.PodIP{IP: ip})
	}
	if _, err := client.CoreV1().Pods(proxied).UpdateStatus(t.Context(), created, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func proxiedSubset(ip, pod, portName string, port int32) corev1.EndpointSubset {
	return corev1.EndpointSubset{
		Addresses: []corev1.EndpointAddress{{IP: ip, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: proxied, Name: pod}}},
		Ports:     []corev1.EndpointPort{{Name: portName, Port: port}},
	}
}

// TestServiceProxy sends the same requests through both servers to the same
// backends, and compares what comes back.
func TestServiceProxy(t *testing.T) {
	kube, client := startCluster(t, proxied)
	kubeStore, err := clientv3.New(clientv3.Config{Endpoints: []string{kube.EtcdURL}, DialTimeout: time.Minute, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kubeStore.Close() })
	etcd := framework.StartEtcd(t)
	portolan := framework.Start(t, func(o *options.Options) {
		framework.On(etcd)(o)
		o.CoreAPI.CoreAPIKubeconfigPath = kube.Kubeconfig
		// For upstream a Pod's word is enough, loopback or not.
		o.ServiceProxyAllowCIDRs = []string{"127.0.0.1/32"}
	})
	theirs := newProxySide(t, kube.Config, kubeStore, "/api/v1", "v1", "/registry/services/endpoints/")
	ours := newProxySide(t, portolan.Config, etcd.Client, "/apis/portolan.dev/v1", "portolan.dev/v1", "/registry/portolan.dev/endpoints/")

	ports := map[bool]int32{}
	for _, secure := range []bool{false, true} {
		backend := httptest.NewUnstartedServer(http.HandlerFunc(tell))
		backend.EnableHTTP2 = true
		if secure {
			backend.StartTLS()
		} else {
			backend.Start()
		}
		t.Cleanup(backend.Close)
		_, port, err := net.SplitHostPort(backend.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		ports[secure] = int32(number)
	}
	spec := corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "tls", Port: 443}}}
	meta := metav1.ObjectMeta{Name: "px"}
	if _, err := client.CoreV1().Services(proxied).Create(context.Background(), &corev1.Service{ObjectMeta: meta, Spec: spec},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := portolan.Client.PortolanV1().Services(proxied).Create(context.Background(), &v1.Service{ObjectMeta: meta, Spec: spec},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	loopback := &v1.Endpoints{ObjectMeta: meta, Subsets: []corev1.EndpointSubset{proxiedSubset("127.0.0.1", "web", "http", 80)}}
	if _, err := portolan.Client.PortolanV1().Endpoints(proxied).Create(context.Background(), loopback,
		metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("with a cluster, endpoints on a loopback that is listed: %v", err)
	}
	// TCP has no broadcasts: what tells is that the server tried.
	const broadcast = "255.255.255.255"
	pod(t, client, "web", "127.0.0.1")
	pod(t, client, "far", broadcast)
	for _, side := range []*proxySide{theirs, ours} {
		side.endpoints("px", proxiedSubset("127.0.0.1", "web", "http", ports[false]), proxiedSubset("127.0.0.1", "web", "tls", ports[true]))
		side.endpoints("bare", proxiedSubset("127.0.0.1", "web", "", ports[false]))
		side.endpoints("empty")
		waiting := proxiedSubset("127.0.0.1", "web", "", ports[false])
		waiting.Addresses, waiting.NotReadyAddresses = nil, waiting.Addresses
		side.endpoints("waiting", waiting)
		side.endpoints("broadcast", proxiedSubset(broadcast, "far", "", 80))
		side.endpoints("liar", proxiedSubset("255.255.255.254", "far", "", 80))
		side.endpoints("nobody", proxiedSubset(broadcast, "nobody", "", 80))
	}

	compared := 0
	compare := func(method, path, body string, header http.Header) {
		t.Helper()
		compared++
		want, got := theirs.do(method, path, body, header), ours.do(method, path, body, header)
		// A refusal says what to do.
		got = strings.ReplaceAll(got, ": none of the addresses is that of a Pod in the namespace, or in the server's --service-proxy-allow-cidrs, where loopback, link-local and the server's own need a CIDR to themselves", "")
		if lines := func(text string) []string { lines := strings.Split(text, "\n"); slices.Sort(lines); return lines }; !slices.Equal(lines(got),
			lines(want)) {
			t.Errorf("%s %s:\n     got %s\nupstream %s", method, path, got, want)
		}
	}
	proxiedRequests(compare)
	t.Logf("%d requests had the same answers", compared)
}

// proxiedRequests makes the requests that are compared.
func proxiedRequests(compare func(method, path, body string, header http.Header)) {
	for _, id := range []string{
		"px", "px:", "px:http", "px:80", "px:81", "px:nope", "http:px:80", ":px:80", "https:px:443", "https:px:tls", "http:px:", "https:px:80",
		"ftp:px:80", "http:px", ":px", "a:b:c:d", "http::80", "px:+80", "px:080", "bare", "bare:80", "bare:", "nope", "nope:80", "empty",
		"https:empty:", "empty:80",
		"waiting", "http:waiting:", "broadcast", "liar", "nobody", "http:nobody:", "PX",
	} {
		for _, path := range []string{"/proxy/", "/proxy/a/b?c=d", "/proxy"} {
			compare(http.MethodGet, "/services/"+id+path, "", nil)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead,
		http.MethodOptions, http.MethodTrace, "LIST"} {
		for _, path := range []string{"/proxy", "/proxy/", "/proxy/a", "/proxy/a/?b=c&b=d", "/proxy/a//b/../c/", "/proxy/a%20b%2Fc",
			"/proxy/?path=/other", "/proxy/teapot", "/proxy/redirect", "/proxy/abroad", "/proxy/html", "/proxy/?dryRun=All", "/proxy/?timeout=1ms"} {
			compare(method, "/services/px:80"+path, "body", nil)
			compare(method, "/services/https:px:443"+path, "body", nil)
		}
	}
	for _, header := range []http.Header{
		{"Authorization": {"Bearer secret"}}, {"Cookie": {"a=b"}}, {"Proxy-Authorization": {"Basic secret"}}, {"Te": {"trailers"}},
		{"X-Remote-User": {"eve"}, "X-Remote-Group": {"system:masters"}, "X-Remote-Extra-A": {"b"}, "X-Remote-Uid": {"1"}},
		{"Impersonate-User": {"eve"}, "Impersonate-Group": {"system:masters"}},
		{"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Host": {"a"}, "X-Forwarded-Proto": {"b"}, "Forwarded": {"for=1.2.3.4"}},
		{"Accept": {"text/html"}, "Accept-Encoding": {"gzip"}, "Origin": {"https://elsewhere"}, "User-Agent": {"other"}},
	} {
		compare(http.MethodGet, "/services/px:80/proxy/headers", "", header)
		compare(http.MethodGet, "/services/https:px:443/proxy/headers", "", header)
	}
}
