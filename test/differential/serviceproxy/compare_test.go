//go:build e2e

package serviceproxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

// proxied has the objects of both servers, except the Endpoints.
const proxied = `
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [
  {name: http, port: 80}, {name: https, port: 443}, {name: also, port: 8080, targetPort: http}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: bare}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: udp}, spec: {ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: headless}, spec: {clusterIP: None, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: external}, spec: {type: ExternalName, externalName: localhost, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: alone}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: slices}, spec: {ports: [{port: 80}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: slices-1, labels: {kubernetes.io/service-name: slices}}
addressType: IPv4
endpoints: [{addresses: ["192.0.2.1"]}]
ports: [{port: 80}]
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {automountServiceAccountToken: false, containers: [{name: web, image: web}]}
`

// subsetsOf returns the Endpoints of both servers. kube-apiserver allows
// loopback because a Pod has the address, and Portolan because the network is
// allowed.
func subsetsOf(plain, secure int32) map[string][]corev1.EndpointSubset {
	subset := func(ip string, ports ...corev1.EndpointPort) corev1.EndpointSubset {
		return corev1.EndpointSubset{
			Addresses: []corev1.EndpointAddress{{IP: ip, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "web"}}},
			Ports:     ports,
		}
	}
	waiting := subset("127.0.0.1", corev1.EndpointPort{Port: plain})
	waiting.Addresses, waiting.NotReadyAddresses = nil, waiting.Addresses
	unvouched := subset("192.0.2.1", corev1.EndpointPort{Port: 80})
	unvouched.Addresses[0].TargetRef = nil
	return map[string][]corev1.EndpointSubset{
		"web":      {subset("127.0.0.1", corev1.EndpointPort{Name: "http", Port: plain}, corev1.EndpointPort{Name: "https", Port: secure})},
		"bare":     {subset("127.0.0.1", corev1.EndpointPort{Port: plain})},
		"headless": {subset("127.0.0.1", corev1.EndpointPort{Port: plain})},
		"udp":      {subset("127.0.0.1", corev1.EndpointPort{Name: "dns", Port: plain, Protocol: corev1.ProtocolUDP})},
		"mixed":    {waiting, subset("127.0.0.1"), unvouched, subset("127.0.0.1", corev1.EndpointPort{Port: plain})},
		"closed":   {subset("127.0.0.1", corev1.EndpointPort{Port: 1})},
		"waiting":  {waiting},
		"portless": {subset("127.0.0.1")},
		"empty":    {},
		"abroad":   {unvouched},
	}
}

// server is one of the two servers, behind its kubectl proxy.
type server struct {
	*caller
	k *framework.Kubectl
	// url is the address of the server itself.
	url string
}

func newServer(t *testing.T, kubeconfig string) *server {
	t.Helper()
	k := framework.NewKubectl(t, kubeconfig)
	create(k, proxied)
	k.Run("patch", "pod", "web", "--subresource=status", "--type=merge", "-p",
		`{"status":{"phase":"Running","podIP":"127.0.0.1"}}`)
	url := k.Run("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
	return &server{caller: newCaller(t, startProxy(t, k)), k: k, url: url}
}

// endpoints creates Endpoints through the API or, where that rejects them, in
// the store.
func (s *server) endpoints(store *clientv3.Client, name string, subsets []corev1.EndpointSubset) {
	s.t.Helper()
	raw, err := json.Marshal(&corev1.Endpoints{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Endpoints"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Subsets:    subsets,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if store == nil {
		create(s.k, string(raw))
		return
	}
	if _, err := store.Put(s.t.Context(), "/registry/services/endpoints/default/"+name, string(raw)); err != nil {
		s.t.Fatal(err)
	}
}

// answer returns the answer as sorted lines.
func (s *server) answer(method, path, body string, header http.Header) []string {
	s.t.Helper()
	response, text := s.do(method, services+path, strings.NewReader(body), header)
	for _, name := range []string{"Date", "Audit-Id", "Content-Length", "X-Kubernetes-Pf-Flowschema-Uid",
		"X-Kubernetes-Pf-Prioritylevel-Uid"} {
		response.Header.Del(name)
	}
	if strings.HasPrefix(text, "Client sent an HTTP request to an HTTPS server") {
		// The backend sends no content type. A server guesses one if it has the
		// body before it has to send the header.
		response.Header.Del("Content-Type")
	}
	var headers bytes.Buffer
	if err := response.Header.Write(&headers); err != nil {
		s.t.Fatal(err)
	}
	lines := strings.Split(s.common(fmt.Sprintf("%d\n%s\n%s", response.StatusCode, &headers, text)), "\n")
	slices.Sort(lines)
	return lines
}

// common removes from a text what differs between the servers: their addresses,
// and Portolan's advice.
func (s *server) common(text string) string {
	return strings.NewReplacer(
		s.base, "BASE", strings.TrimPrefix(s.base, "http://"), "HOST", s.url, "SERVER", strings.TrimPrefix(s.url, "https://"), "SERVER",
		": the server has no cluster to ask for Pods, and none of the addresses is in its "+ownCIDR, "",
	).Replace(text)
}

// port runs the backend on loopback, and returns its port.
func (b *backend) port(t *testing.T, secure bool) int32 {
	t.Helper()
	port, err := strconv.ParseInt(b.serve(t, "127.0.0.1", secure), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return int32(port)
}

// startBoth starts both servers with the same objects and backends.
func startBoth(t *testing.T) (theirs, ours *server) {
	t.Helper()
	kube := framework.StartKube(t)
	store := framework.ConnectEtcd(t, kube.EtcdURL)
	framework.NewKubectl(t, kube.Kubeconfig).Run("wait", "--for=create", "namespace/default", "--timeout=60s")
	theirs = newServer(t, kube.Kubeconfig)
	ours = newServer(t, framework.Start(t, listing("127.0.0.0/8")).Kubeconfig)
	b := newBackend("backend")
	for name, subsets := range subsetsOf(b.port(t, false), b.port(t, true)) {
		theirs.endpoints(store, name, subsets)
		ours.endpoints(nil, name, subsets)
	}
	return theirs, ours
}

// TestSameAnswers sends the same requests to both servers through their kubectl
// proxies, and compares the answers.
func TestSameAnswers(t *testing.T) {
	t.Parallel()
	theirs, ours := startBoth(t)
	compared := 0
	compare := func(method, path, body string, header http.Header) {
		t.Helper()
		compared++
		want, got := theirs.answer(method, path, body, header), ours.answer(method, path, body, header)
		if !slices.Equal(got, want) {
			t.Errorf("%s %s:\n     got %s\nupstream %s", method, path, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
	for _, name := range []string{
		"web", "web:", "web:http", "web:80", "web:443", "web:81", "web:none", "web:8080", "web:also", "http:web:http", "http:web:80", ":web:http",
		"https:web:https", "https:web:443",
		"http:web:", "https:web:http", "web:https", "http:web", "ftp:web:80", "HTTP:web:80", ":web", ":", "::", "a:b:c:d", "http::80", "web:+80",
		"web:080", "web:-1", "web:99999999999999999999",
		"web%3Ahttp", "web:HTTP", "WEB", "bare", "bare:", "bare:80", "http:bare:", "https:bare:", "headless", "headless:80", "udp:53", "udp:dns",
		"udp:dns-tcp", "mixed",
		"closed", "waiting", "http:waiting:", "portless", "empty", "https:empty:", "empty:80", "abroad", "http:abroad:", "external",
		"external:80", "alone", "alone:80", "slices", "slices:80", "none", "none:80",
	} {
		for _, path := range []string{"/proxy/", "/proxy/a/b?c=d", "/proxy"} {
			compare(http.MethodGet, name+path, "", nil)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead,
		http.MethodOptions, http.MethodTrace, "LIST"} {
		for _, path := range []string{"", "/", "/a/?b=c&b=d", "/a//b/../c/", "/a%20b%2Fc", "/?path=/other", "/teapot", "/redirect", "/relative",
			"/abroad", "/html", "/?dryRun=All", "/?timeout=1ms"} {
			compare(method, "web:80/proxy"+path, "body", nil)
			compare(method, "https:web:443/proxy"+path, "body", nil)
		}
		compare(method, "web/none", "", nil)
	}
	for _, header := range []http.Header{
		{"Authorization": {"Bearer secret"}}, {"Cookie": {"a=b"}}, {"Proxy-Authorization": {"Basic secret"}}, {"Te": {"trailers"}}, {
			"Expect": {"100-continue"},
		},
		{"X-Remote-User": {"eve"}, "X-Remote-Group": {"system:masters"}}, {"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Host": {"a"}},
		{"Accept": {"text/html"}, "Accept-Encoding": {"gzip"}, "Origin": {"https://elsewhere"}, "User-Agent": {"other"}, "Range": {"bytes=0-1"}},
	} {
		compare(http.MethodPost, "web:80/proxy/headers", "body", header)
		compare(http.MethodGet, "https:web:443/proxy/headers", "", header)
	}
	for _, path := range []string{"web:80/proxy/", "web:80/proxy/teapot", "web:80/proxy/redirect", "https:web:443/proxy/teapot",
		"closed/proxy/", "empty/proxy/", "web:81/proxy/"} {
		compare(http.MethodGet, path, "", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}})
	}
	t.Logf("%d requests were compared", compared)
	sameOutput(t, theirs, ours)
	sameDescription(t, theirs, ours)
}

// sameOutput compares the output of kubectl.
func sameOutput(t *testing.T, theirs, ours *server) {
	t.Helper()
	for _, args := range []string{
		"cluster-info",
		"get --raw " + services + "web:http/proxy/html", "get --raw " + services + "https:web:443/proxy/html",
		"get --raw " + services + "web:80/proxy/redirect",
		"get --raw " + services + "web:80/proxy/teapot", "get --raw " + services + "web:81/proxy/", "get --raw " + services + "web/proxy/",
		"get --raw " + services + "none:80/proxy/",
		"get --raw " + services + "closed/proxy/", "get --raw " + services + "ftp:web:80/proxy/", "get --raw " + services + "abroad/proxy/",
		"create --raw " + services + "web:80/proxy/sum -f ../../../go.mod", "replace --raw " + services + "web:80/proxy/sum -f ../../../go.mod",
		"delete --raw " + services + "web:80/proxy/sum",
	} {
		want, got := theirs.output(args), ours.output(args)
		if got != want {
			t.Errorf("kubectl %s:\n     got %s\nupstream %s", args, got, want)
		}
	}
}

// session differs for each run of kubectl.
var session = regexp.MustCompile(`Kubectl-Session: .*\n`)

// output returns what a command prints, and its exit code.
func (s *server) output(args string) string {
	s.t.Helper()
	out, err := s.k.Try("", strings.Fields(args)...)
	return session.ReplaceAllString(s.common(fmt.Sprintf("%s%v", out, err)), "")
}

// sameDescription compares the proxy's entries in discovery and OpenAPI.
func sameDescription(t *testing.T, theirs, ours *server) {
	t.Helper()
	described := func(s *server) string {
		var discovered metav1.APIResourceList
		var published struct {
			Paths map[string]any `json:"paths"`
		}
		for path, into := range map[string]any{"/api/v1": &discovered, "/openapi/v3/api/v1": &published} {
			if _, text := s.do(http.MethodGet, path, nil, nil); json.Unmarshal([]byte(text), into) != nil {
				s.t.Fatalf("%s: %s", path, text)
			}
		}
		var all []any
		for _, resource := range discovered.APIResources {
			if resource.Name == "services/proxy" {
				all = append(all, resource)
			}
		}
		for _, path := range []string{"/api/v1/namespaces/{namespace}/services/{name}/proxy",
			"/api/v1/namespaces/{namespace}/services/{name}/proxy/{path}"} {
			all = append(all, published.Paths[path])
		}
		text, err := json.Marshal(all)
		if err != nil {
			s.t.Fatal(err)
		}
		return string(text)
	}
	want, got := described(theirs), described(ours)
	if got != want || len(want) < 1000 {
		t.Errorf("services/proxy is described as\n%s\nupstream\n%s", got, want)
	}
}
