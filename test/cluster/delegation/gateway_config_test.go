//go:build e2e

package delegation

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

func TestMain(m *testing.M) { framework.Main(m) }

// refused runs portolan serve, which must end by itself, and returns what it says.
func (g *ground) refused(dataDir, port, kubeconfig string, flags ...string) string {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), timeout)
	defer cancel()
	command := framework.Portolan(g.t, append([]string{"serve", "--serve-core", "--data-dir=" + dataDir, "--secure-port=" + port,
		"--kubeconfig=" + kubeconfig}, flags...)...)
	stop := context.AfterFunc(ctx, func() { _ = command.Process.Kill() })
	defer stop()
	out, err := command.CombinedOutput()
	if err == nil || ctx.Err() != nil {
		g.t.Errorf("the server did not refuse: %v\n%s", err, out)
	}
	return string(out)
}

// TestGatewayRefuses starts gateways whose configuration is wrong: each ends and says
// what to change.
func TestGatewayRefuses(t *testing.T) {
	g := newGround(t)
	pair := func(certFile, keyFile string) []string {
		return []string{"--proxy-client-cert-file=" + certFile, "--proxy-client-key-file=" + keyFile}
	}
	for name, test := range map[string]struct {
		flags []string
		want  []string
	}{
		"another authority": {pair(g.files(newAuthority(t, "strangers"), frontName)), []string{
			"--proxy-client-cert-file: the cluster's API server does not accept the certificate as a front proxy's", `its issuer "strangers"`,
		}},
		"another name": {pair(g.files(g.front, "somebody")), []string{
			`its common name "somebody" is not among kube-apiserver's --requestheader-allowed-names (` + frontName + ")",
		}},
		"an administrator's": {pair(g.files(g.users, "root", "system:masters")), []string{
			`takes the certificate for that of the user "root" and not for a front proxy's`, "--requestheader-client-ca-file",
		}},
	} {
		g.expectText(name, g.refused(t.TempDir(), framework.FreePort(t), g.kubeconfig, test.flags...), test.want...)
	}
	// A gateway that is its own cluster.
	dataDir, port := t.TempDir(), framework.FreePort(t)
	url := "https://127.0.0.1:" + port
	_, err := datadir.EnsureServing(dataDir, datadir.Server{
		URL: url, IPs: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, Names: []string{"localhost", "portolan"},
	}, time.Now())
	g.must(err)
	own := clientcmdapi.NewConfig()
	own.Clusters["c"] = &clientcmdapi.Cluster{Server: url, CertificateAuthority: filepath.Join(dataDir, ownAuthority)}
	own.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: "abc"}
	own.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	own.CurrentContext = "x"
	kubeconfig := filepath.Join(t.TempDir(), "own.kubeconfig")
	g.must(clientcmd.WriteToFile(*own, kubeconfig))
	g.expectText("itself", g.refused(dataDir, port, kubeconfig), "--kubeconfig: ", "leads to the gateway itself ("+url+")")
}

func (g *ground) expectText(what, got string, want ...string) {
	g.t.Helper()
	for _, text := range want {
		if !strings.Contains(got, text) {
			g.t.Errorf("%s: want %q in:\n%s", what, text, got)
		}
	}
}

// TestGatewayWarns starts a gateway with the rights of artifacts/cluster, and ones whose
// users have none or whose credentials are bad. They serve, and log what is missing.
func TestGatewayWarns(t *testing.T) {
	g := newGround(t)
	logs := framework.CaptureLogs(t, 0)
	awaitLog := func(texts ...string) {
		t.Helper()
		framework.Eventually(t, strings.Join(texts, ", "), func(context.Context) (bool, error) {
			for _, text := range texts {
				if !strings.Contains(logs.String(), text) {
					return false, nil
				}
			}
			return true, nil
		})
	}
	g.gateway(true)
	// The cluster has the same range.
	awaitLog("may not list servicecidrs.networking.k8s.io")
	if strings.Contains(logs.String(), "lacks rights") {
		t.Errorf("artifacts/cluster lacks rights: %s", logs.String())
	}
	_, err := g.client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "ranges"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"servicecidrs"}, Verbs: []string{"list"}}},
	}, metav1.CreateOptions{})
	g.must(err)
	g.bind("ranges", account("portolan", "portolan"))
	g.gateway(true)
	awaitLog("the cluster hands out addresses of these ranges too: 10.96.0.0/12 of the ServiceCIDR kubernetes")

	for _, test := range []struct {
		token string
		want  []string
	}{
		{g.token("default", "nobody"), []string{
			"create subjectaccessreviews.authorization.k8s.io (for authorizing users)",
			"get configmaps/extension-apiserver-authentication in kube-system",
			"create tokenreviews.authentication.k8s.io (for authenticating bearer tokens)", "list namespaces",
			"watch validatingwebhookconfigurations.admissionregistration.k8s.io", "artifacts/cluster/server/rbac.yaml",
		}},
		{"abc", []string{"the cluster does not accept the credentials in --kubeconfig"}},
	} {
		kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
		g.writeKubeconfig(kubeconfig, test.token)
		o := options.New()
		serve := true
		o.ServeCore, o.DataDir, o.CoreAPI.CoreAPIKubeconfigPath = &serve, t.TempDir(), kubeconfig
		g.launch(o)
		awaitLog(test.want...)
	}
}
