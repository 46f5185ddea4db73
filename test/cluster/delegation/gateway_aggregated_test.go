//go:build e2e

package delegation

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestGatewayAggregatedAPI asks an aggregated API of the cluster through the gateway and
// past it, as users of all kinds. The API answers with who is asking.
func TestGatewayAggregatedAPI(t *testing.T) {
	g := newGround(t)
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		const list = `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"things.example/v1","resources":` +
			`[{"name":"things","singularName":"thing","namespaced":false,"kind":"Thing","verbs":["get"]}]}`
		switch req.URL.Path {
		case "/apis/things.example/v1":
			_, _ = io.WriteString(w, list)
		case "/apis/things.example/v1/things/me":
			_ = json.NewEncoder(w).Encode(map[string]any{
				"kind": "Thing", "apiVersion": "things.example/v1", "metadata": map[string]string{"name": "me"},
				"user": req.Header.Get("X-Remote-User"), "groups": req.Header["X-Remote-Group"],
			})
		default:
			http.NotFound(w, req)
		}
	}))
	defer api.Close()
	// kube-apiserver finds the API by a Service of its own.
	_, err := g.client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "things"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{})
	g.must(err)
	_, port, err := net.SplitHostPort(api.Listener.Addr().String())
	g.must(err)
	server := g.gateway(true)
	cert, key := g.files(g.users, "root", "system:masters")
	k := framework.NewKubectl(t, "/dev/null").With("--server="+server.Config.Host, "--client-certificate="+cert, "--client-key="+key,
		"--certificate-authority="+filepath.Join(server.DataDir, ownAuthority))
	k.Feed(`{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":{"name":"v1.things.example"},"spec":{`+
		`"group":"things.example","version":"v1","groupPriorityMinimum":100,"versionPriority":100,"insecureSkipTLSVerify":true,`+
		`"service":{"namespace":"default","name":"things","port":`+port+`}}}`, "create", "-f", "-")
	k.Run("wait", "--for=condition=Available", "apiservice/v1.things.example", "--timeout=60s")
	g.bind("cluster-admin", account("default", "robot"))
	for name, token := range map[string]string{"a certificate": "", "a token": g.token("default", "robot")} {
		presented := certificateOf(t, g.users, "root", "system:masters")
		if token != "" {
			presented = nil
		}
		const path = "/apis/things.example/v1/things/me"
		got := newCaller(t, server, presented, token).get(path)
		want := newCallerAt(t, g.kube.Config.Host, filepath.Dir(g.kube.Kubeconfig), presented, token).get(path)
		if got.code != http.StatusOK || got.body != want.body || !strings.Contains(got.body, `"user":"`) {
			t.Errorf("%s: %d %s\nwithout the gateway: %d %s", name, got.code, got.body, want.code, want.body)
		}
	}
}
