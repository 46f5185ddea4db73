//go:build e2e

package serviceproxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// inCluster is the namespace of the objects, in the cluster as well.
const inCluster = "proxied"

// proxyServer is one of the two servers, with a namespace.
type proxyServer struct {
	*caller
	// path is that of the namespace, and version the apiVersion in it.
	path, version string
	// key is the prefix of Endpoints in etcd.
	key   string
	store *clientv3.Client
}

func newProxyServer(t *testing.T, config *rest.Config, store *clientv3.Client, group, version, key string) *proxyServer {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	client.CheckRedirect = framework.FollowNone
	return &proxyServer{
		caller: &caller{t: t, base: config.Host, client: client},
		path:   group + "/namespaces/" + inCluster, version: version, key: key, store: store,
	}
}

// answer returns the answer as text. What differs between the API groups is
// replaced with upstream's.
func (s *proxyServer) answer(method, path, body string, header http.Header) string {
	s.t.Helper()
	response, text := s.do(method, s.path+path, strings.NewReader(body), header)
	for _, name := range []string{"Date", "Audit-Id", "Content-Length"} {
		response.Header.Del(name)
	}
	var headers bytes.Buffer
	if err := response.Header.Write(&headers); err != nil {
		s.t.Fatal(err)
	}
	return strings.NewReplacer(
		s.base, "HOST", strings.TrimPrefix(s.base, "https://"), "HOST", s.path, "PATH",
		"services.portolan.dev", "services", `"group":"portolan.dev",`, "",
	).Replace(fmt.Sprintf("%d\n%s\n%s", response.StatusCode, &headers, text))
}

// endpoints writes Endpoints into the store, because the API rejects loopback
// addresses.
func (s *proxyServer) endpoints(name string, subsets ...corev1.EndpointSubset) {
	s.t.Helper()
	raw, err := json.Marshal(&corev1.Endpoints{
		TypeMeta:   metav1.TypeMeta{APIVersion: s.version, Kind: "Endpoints"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: inCluster},
		Subsets:    subsets,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.store.Put(s.t.Context(), s.key+inCluster+"/"+name, string(raw)); err != nil {
		s.t.Fatal(err)
	}
}

// createPod creates a Pod in the cluster, with addresses as a kubelet would report
// them.
func createPod(t *testing.T, client kubernetes.Interface, name string, ips ...string) {
	t.Helper()
	created, err := client.CoreV1().Pods(inCluster).Create(t.Context(), &corev1.Pod{
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
	if _, err := client.CoreV1().Pods(inCluster).UpdateStatus(t.Context(), created, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func proxiedSubset(ip, pod, portName string, port int32) corev1.EndpointSubset {
	return corev1.EndpointSubset{
		Addresses: []corev1.EndpointAddress{{IP: ip, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: inCluster, Name: pod}}},
		Ports:     []corev1.EndpointPort{{Name: portName, Port: port}},
	}
}

// TestSameAnswersInCluster sends the same requests through both servers to the same
// backends, and compares the answers.
func TestSameAnswersInCluster(t *testing.T) {
	theirs, ours := startProxies(t)
	compared := 0
	compare := func(method, path, body string, header http.Header) {
		t.Helper()
		compared++
		want, got := theirs.answer(method, path, body, header), ours.answer(method, path, body, header)
		// Portolan's message advises what to do.
		got = strings.ReplaceAll(got, ": none of the addresses is that of a Pod in the namespace, or in the server's --service-proxy-allow-cidrs, where loopback, link-local and the server's own need a CIDR to themselves", "")
		if !slices.Equal(sortedLines(got), sortedLines(want)) {
			t.Errorf("%s %s:\n     got %s\nupstream %s", method, path, got, want)
		}
	}
	proxiedRequests(compare)
	t.Logf("%d requests had the same answers", compared)
}

func sortedLines(text string) []string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return lines
}

// startProxies starts both servers, with the same Services and Endpoints.
func startProxies(t *testing.T) (theirs, ours *proxyServer) {
	t.Helper()
	kube := framework.StartKube(t)
	framework.CreateNamespace(t, kube.Config, inCluster)
	client := kubernetes.NewForConfigOrDie(kube.Config)
	etcd := framework.StartEtcd(t)
	portolan := framework.Start(t, func(o *options.Options) {
		framework.On(etcd)(o)
		o.CoreAPI.CoreAPIKubeconfigPath = kube.Kubeconfig
		// kube-apiserver reaches any address of a Pod, also on loopback.
		o.ServiceProxyAllowCIDRs = []string{"127.0.0.1/32"}
	})
	theirs = newProxyServer(t, kube.Config, framework.ConnectEtcd(t, kube.EtcdURL), "/api/v1", "v1", "/registry/services/endpoints/")
	ours = newProxyServer(t, portolan.Config, etcd.Client, "/apis/portolan.dev/v1", "portolan.dev/v1", "/registry/portolan.dev/endpoints/")

	spec := corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "tls", Port: 443}}}
	meta := metav1.ObjectMeta{Name: "px"}
	if _, err := client.CoreV1().Services(inCluster).Create(t.Context(), &corev1.Service{ObjectMeta: meta, Spec: spec},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := portolan.Client.PortolanV1().Services(inCluster).Create(t.Context(), &v1.Service{ObjectMeta: meta, Spec: spec},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	loopback := &v1.Endpoints{ObjectMeta: meta, Subsets: []corev1.EndpointSubset{proxiedSubset("127.0.0.1", "web", "http", 80)}}
	if _, err := portolan.Client.PortolanV1().Endpoints(inCluster).Create(t.Context(), loopback,
		metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("with a cluster, endpoints on an allowed loopback address: %v", err)
	}
	// TCP has no broadcasts: the error shows that the server tried to connect.
	const broadcast = "255.255.255.255"
	createPod(t, client, "web", "127.0.0.1")
	createPod(t, client, "far", broadcast)
	b := newBackend("backend")
	plain, secure := b.port(t, false), b.port(t, true)
	for _, server := range []*proxyServer{theirs, ours} {
		server.endpoints("px", proxiedSubset("127.0.0.1", "web", "http", plain), proxiedSubset("127.0.0.1", "web", "tls", secure))
		server.endpoints("bare", proxiedSubset("127.0.0.1", "web", "", plain))
		server.endpoints("empty")
		waiting := proxiedSubset("127.0.0.1", "web", "", plain)
		waiting.Addresses, waiting.NotReadyAddresses = nil, waiting.Addresses
		server.endpoints("waiting", waiting)
		server.endpoints("broadcast", proxiedSubset(broadcast, "far", "", 80))
		server.endpoints("liar", proxiedSubset("255.255.255.254", "far", "", 80))
		server.endpoints("nobody", proxiedSubset(broadcast, "nobody", "", 80))
	}
	return theirs, ours
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
