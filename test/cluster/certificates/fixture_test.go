//go:build e2e

// Package certificates tests in a real cluster, with the rights that the
// manifests give, what makes and renews certificates where there is no
// cert-manager: the serving certificate that replicas share, and those of etcd.
package certificates

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

const (
	namespace = "portolan"
	day       = 24 * time.Hour
)

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// fixture is a cluster. Its administrator looks at what others do.
type fixture struct {
	*testing.T
	kube    *upstream.Server
	client  kubernetes.Interface
	dynamic dynamic.Interface
	audit   string
}

// newFixture starts a cluster and applies manifests in it.
func newFixture(t *testing.T, manifests ...string) *fixture {
	t.Helper()
	dir := t.TempDir()
	g := &fixture{T: t, audit: filepath.Join(dir, "audit.log")}
	policy := filepath.Join(dir, "policy.yaml")
	g.must(os.WriteFile(policy, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n"), 0o600))
	g.kube = framework.StartKube(t, "--audit-policy-file="+policy, "--audit-log-path="+g.audit)
	var err error
	g.client, err = kubernetes.NewForConfig(g.kube.Config)
	g.must(err)
	g.dynamic, err = dynamic.NewForConfig(g.kube.Config)
	g.must(err)
	args := []string{"apply", "--validate=false"}
	for _, manifest := range append([]string{"cluster/server/namespace.yaml"}, manifests...) {
		args = append(args, "-f", framework.Path("artifacts", manifest))
	}
	g.kubectl(args...)
	return g
}

func (g *fixture) must(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

func (g *fixture) kubectl(args ...string) {
	g.Helper()
	// What a namespaced manifest needs may be there a moment after the namespace.
	kubectl := framework.NewKubectl(g.T, g.kube.Kubeconfig)
	framework.Eventually(g, "kubectl "+strings.Join(args, " "), func(context.Context) (bool, error) {
		out, err := kubectl.Try("", args...)
		return err == nil, errors.New(out)
	})
}

// as is how a service account asks the cluster.
func (g *fixture) as(account string) *rest.Config {
	g.Helper()
	request := &authenticationv1.TokenRequest{}
	token, err := g.client.CoreV1().ServiceAccounts(namespace).CreateToken(g.Context(), account, request, metav1.CreateOptions{})
	g.must(err)
	config := rest.AnonymousClientConfig(g.kube.Config)
	config.BearerToken = token.Status.Token
	config.QPS = -1
	return config
}

// kubeconfig is a file with which a service account asks the cluster.
func (g *fixture) kubeconfig(account string) string {
	g.Helper()
	user := g.as(account)
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: user.Host, CertificateAuthorityData: user.CAData, CertificateAuthority: user.CAFile}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: user.BearerToken}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	file := filepath.Join(g.TempDir(), "kubeconfig")
	g.must(clientcmd.WriteToFile(*config, file))
	return file
}

func (g *fixture) secret(name string) *corev1.Secret {
	g.Helper()
	secret, err := g.client.CoreV1().Secrets(namespace).Get(g.Context(), name, metav1.GetOptions{})
	g.must(err)
	return secret
}

// expectNoRefusal wants that a service account was allowed all that it asked.
func (g *fixture) expectNoRefusal(account string) {
	g.Helper()
	data, err := os.ReadFile(g.audit)
	g.must(err)
	asked := 0
	for line := range bytes.Lines(data) {
		var event struct {
			User           struct{ Username string }
			RequestURI     string
			ResponseStatus struct{ Code int }
		}
		if err := json.Unmarshal(line, &event); err != nil || event.User.Username != "system:serviceaccount:"+namespace+":"+account {
			continue
		}
		asked++
		if event.ResponseStatus.Code == http.StatusForbidden || event.ResponseStatus.Code == http.StatusUnauthorized {
			g.Errorf("%s may not do what it does: %s", account, line)
		}
	}
	if asked == 0 {
		g.Errorf("%s was not heard of", account)
	}
}
