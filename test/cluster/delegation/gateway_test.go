//go:build e2e

package delegation

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/certificates"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const coreServices = "/api/v1/namespaces/default/services"

// gateway starts a server that forwards what belongs to the cluster. A paired one has a
// front proxy's certificate.
func (g *ground) gateway(paired bool) *framework.Server {
	g.t.Helper()
	return g.serve(func(o *options.Options) {
		serve := true
		o.ServeCore = &serve
		if paired {
			o.Gateway.ProxyClientCertFile, o.Gateway.ProxyClientKeyFile = g.files(g.front, frontName)
		}
	})
}

// files writes a client certificate and its key.
func (g *ground) files(authority certificates.Pair, name string, groups ...string) (certFile, keyFile string) {
	g.t.Helper()
	dir := g.t.TempDir()
	made := certificateOf(g.t, authority, name, groups...)
	leaf, err := x509.ParseCertificate(made.Certificate[0])
	g.must(err)
	pair := certificates.Pair{Cert: leaf, Key: made.PrivateKey.(crypto.Signer)}
	cert, key, err := pair.Encode()
	g.must(err)
	certFile, keyFile = filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	g.write(certFile, cert)
	g.write(keyFile, key)
	return certFile, keyFile
}

// administrator returns a kubectl of the cluster's administrator for a server, whose own
// authority is in a directory. The administrator has one client certificate for all of them.
func (g *ground) administrator(url, dir string) *framework.Kubectl {
	g.t.Helper()
	if g.rootCert == "" {
		g.rootCert, g.rootKey = g.files(g.users, "root", "system:masters")
	}
	return framework.NewKubectl(g.t, "/dev/null").With("--server="+url, "--certificate-authority="+filepath.Join(dir, ownAuthority),
		"--client-certificate="+g.rootCert, "--client-key="+g.rootKey)
}

// TestGatewayKubectl uses the cluster through the gateway as one would without it.
func TestGatewayKubectl(t *testing.T) {
	g := newGround(t)
	server := g.gateway(true)
	k := g.administrator(server.Config.Host, server.DataDir)
	direct := g.administrator(g.kube.Config.Host, filepath.Dir(g.kube.Kubeconfig))

	manifest := filepath.Join(t.TempDir(), "svc.yaml")
	g.write(manifest, []byte("apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n"))
	k.Expect(k.Run("create", "-f", manifest), "service/web created")
	ip := k.Run("get", "svc", "web", "-o", "jsonpath={.spec.clusterIP}")
	k.Expect(k.Run("get", "ipaddresses.networking.k8s.io", ip), "services/default/web")
	k.Expect(k.Run("get", "servicecidrs"), "10.96.0.0/12")
	if out, err := direct.Try("", "get", "svc", "web"); err == nil || !strings.Contains(out, "NotFound") {
		t.Errorf("kube-apiserver has the Service as well: %s", out)
	}
	k.Expect(k.Run("create", "deployment", "web", "--image=example.com/web"), "deployment.apps/web created")
	k.Expect(k.Run("get", "all"), "service/web ", "deployment.apps/web ")
	k.Expect(k.Run("apply", "--server-side", "--force-conflicts", "-f", manifest), "service/web serverside-applied")
	k.Expect(k.Run("apply", "-f", manifest), "service/web configured")
	k.Expect(k.Run("describe", "svc", "web"), "Selector:                 app=web", "IP:                       "+ip)
	k.Expect(k.Run("expose", "deployment", "web", "--name=exposed", "--port=80"), "service/exposed exposed")
	for _, args := range []string{
		"get ns -o name", "get clusterroles view", "get deployment web -o yaml", "explain service.spec.clusterIPs",
		"explain deployment.spec", "auth whoami",
		"auth can-i create services", "auth can-i --list", "api-resources", "api-versions", "version -o yaml", "get --raw /openapi/v3",
		"get --raw /apis", "get --raw /api/v1", "get clusterroles view -o yaml", "get pods -A", "get --raw /healthzz",
	} {
		got, gotErr := k.Try("", strings.Fields(args)...)
		want, wantErr := direct.Try("", strings.Fields(args)...)
		if got != want || (gotErr == nil) != (wantErr == nil) {
			t.Errorf("kubectl %s: %v %s\nwithout the gateway: %v %s", args, gotErr, got, wantErr, want)
		}
	}
	g.startPod("web", "192.0.2.7")
	framework.Eventually(t, "the Pod is in the slice", func(context.Context) (bool, error) {
		return strings.Contains(k.Run("get", "endpointslices", "-l", "kubernetes.io/service-name=web"), "192.0.2.7"), nil
	})
	k.Expect(k.Run("get", "pods,endpoints"), "pod/web", "endpoints/web", "192.0.2.7:80")
	k.Expect(k.Run("delete", "svc", "--all"), `service "web" deleted`, `service "exposed" deleted`)
	if out := direct.Run("get", "svc,endpoints,endpointslices"); strings.Contains(out, "web") {
		t.Errorf("kube-apiserver has some of it:\n%s", out)
	}
}

// startPod makes a Pod that is ready, and its Node.
func (g *ground) startPod(name, ip string) {
	g.t.Helper()
	_, err := g.client.CoreV1().Nodes().Create(g.t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, metav1.CreateOptions{})
	g.must(err)
	pods := g.client.CoreV1().Pods("default")
	pod, err := pods.Create(g.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "c", Image: "example.com/web"}}},
	}, metav1.CreateOptions{})
	g.must(err)
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	_, err = pods.UpdateStatus(g.t.Context(), pod, metav1.UpdateOptions{})
	g.must(err)
}

// TestGatewayWatches watches what is served and what is forwarded with one client.
func TestGatewayWatches(t *testing.T) {
	g := newGround(t)
	server := g.gateway(false)
	config := server.As(&rest.Config{BearerToken: g.token("default", "root")})
	g.bind("cluster-admin", account("default", "root"))
	client, err := kubernetes.NewForConfig(config)
	g.must(err)
	ctx := t.Context()
	services, err := client.CoreV1().Services("").Watch(ctx, metav1.ListOptions{})
	g.must(err)
	configMaps, err := client.CoreV1().ConfigMaps("default").Watch(ctx, metav1.ListOptions{})
	g.must(err)
	for _, name := range []string{"a", "b"} {
		_, err := client.CoreV1().Services("default").Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}, metav1.CreateOptions{})
		g.must(err)
		configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
		_, err = client.CoreV1().ConfigMaps("default").Create(ctx, configMap, metav1.CreateOptions{})
		g.must(err)
		if event := <-services.ResultChan(); event.Object.(*corev1.Service).Name != name {
			t.Errorf("got %v", event)
		}
		for event := range configMaps.ResultChan() {
			if event.Object.(*corev1.ConfigMap).Name == name {
				break
			}
		}
	}
	_, err = g.client.CoreV1().Services("default").Get(ctx, "a", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("kube-apiserver has the Service: %v", err)
	}
	// A server that stops ends both.
	g.must(server.Stop())
	for event := range services.ResultChan() {
		t.Errorf("an event at the end: %v", event)
	}
	for event := range configMaps.ResultChan() {
		t.Errorf("an event at the end: %v", event)
	}
}

// TestGatewayAlone stops kube-apiserver: what is served goes on, and what is forwarded
// fails at once.
func TestGatewayAlone(t *testing.T) {
	g := newGround(t)
	server := g.gateway(true)
	root := newCaller(t, server, certificateOf(t, g.users, "root", "system:masters"), "")
	robot := newCaller(t, server, nil, g.token("default", "robot"))
	const aService = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}}`
	expectCode(t, "create", root.do(http.MethodPost, coreServices, aService), http.StatusCreated)
	expectCode(t, "namespaces", root.get("/api/v1/namespaces"), http.StatusOK)
	g.kube.StopAPI()
	expectCode(t, "list", root.get(coreServices), http.StatusOK)
	expectCode(t, "readyz", root.get("/readyz"), http.StatusOK)
	for name, got := range map[string]answer{
		"namespaces": root.get("/api/v1/namespaces"), "discovery": robot.get("/apis"), "nobody": newCaller(t, server, nil, "").get("/version"),
	} {
		expectCode(t, name, got, http.StatusServiceUnavailable)
		var status metav1.Status
		if err := json.Unmarshal([]byte(got.body), &status); err != nil || status.Message != "the cluster's API server cannot be reached" {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	g.must(g.kube.StartAPI(t.Context()))
	expectCode(t, "namespaces, later", root.get("/api/v1/namespaces"), http.StatusOK)
	expectCode(t, "discovery, later", robot.get("/apis"), http.StatusOK)
}

func expectCode(t *testing.T, what string, got answer, code int) {
	t.Helper()
	if got.code != code {
		t.Errorf("%s: %d %s, want %d", what, got.code, got.body, code)
	}
}
