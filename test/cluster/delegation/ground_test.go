//go:build e2e

package delegation

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/portolan-dev/portolan/pkg/certificates"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

const (
	frontName = "front-proxy-client"
	services  = "/apis/portolan.dev/v1/namespaces/default/services"
	timeout   = 2 * time.Minute
	// ownAuthority is where a data directory has its authority.
	ownAuthority = "pki/ca.crt"
)

// ground is a cluster with users and the server's service account.
type ground struct {
	t      testing.TB
	kube   *upstream.Server
	client *kubernetes.Clientset
	// users signs the client certificates of the cluster's users, front that of
	// its aggregation layer.
	users, front certificates.Pair
	// kubeconfig is the server's.
	kubeconfig string
	audit      string
	// rootCert and rootKey are the files of the administrator, once there are any.
	rootCert, rootKey string
}

// newGround starts the cluster and gives the server the rights that
// artifacts/cluster gives it, and no more.
func newGround(t testing.TB) *ground {
	t.Helper()
	dir := t.TempDir()
	g := &ground{t: t, audit: filepath.Join(dir, "audit.log"), front: newAuthority(t, "front")}
	frontCA := filepath.Join(dir, "front.crt")
	g.write(frontCA, certificates.EncodeCerts(g.front.Cert))
	g.kube = framework.StartKube(t, "--requestheader-client-ca-file="+frontCA, "--requestheader-allowed-names="+frontName,
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-")
	g.users = g.authority(filepath.Dir(g.kube.Kubeconfig))
	var err error
	g.client, err = kubernetes.NewForConfig(g.kube.Config)
	g.must(err)

	for _, file := range []string{"namespace", "serviceaccount", "rbac", "roles"} {
		g.apply(framework.Path("artifacts/cluster/server", file+".yaml"))
	}
	g.kubeconfig = filepath.Join(dir, "server.kubeconfig")
	g.writeKubeconfig(g.kubeconfig, g.token("portolan", "portolan"))
	return g
}

// serve starts the server.
func (g *ground) serve(change func(*options.Options)) *framework.Server {
	g.t.Helper()
	policy := filepath.Join(g.t.TempDir(), "policy.yaml")
	g.write(policy, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n"))
	return framework.Start(g.t, func(o *options.Options) {
		o.CoreAPI.CoreAPIKubeconfigPath = g.kubeconfig
		o.Audit.PolicyFile, o.Audit.LogOptions.Path = policy, g.audit
		if change != nil {
			change(o)
		}
	})
}

func (g *ground) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *ground) write(file string, data []byte) {
	g.t.Helper()
	g.must(os.WriteFile(file, data, 0o600))
}

func newAuthority(t testing.TB, name string) certificates.Pair {
	t.Helper()
	authority, err := certificates.NewAuthority(name, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// authority is the one that a data directory has.
func (g *ground) authority(dir string) certificates.Pair {
	g.t.Helper()
	cert, err := os.ReadFile(filepath.Join(dir, ownAuthority))
	g.must(err)
	key, err := os.ReadFile(filepath.Join(dir, "pki/ca.key"))
	g.must(err)
	pair, err := certificates.Parse(cert, key)
	g.must(err)
	return pair
}

// certificateOf makes a client certificate.
func certificateOf(t testing.TB, authority certificates.Pair, name string, groups ...string) *tls.Certificate {
	t.Helper()
	pair, err := authority.Issue(x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{pair.Cert.Raw}, PrivateKey: pair.Key}
}

// apply creates the objects of a file.
func (g *ground) apply(file string) {
	g.t.Helper()
	data, err := os.ReadFile(file)
	g.must(err)
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		g.must(err)
		obj, _, err := scheme.Codecs.UniversalDeserializer().Decode(document, nil, nil)
		g.must(err)
		ctx, create := g.t.Context(), metav1.CreateOptions{}
		switch obj := obj.(type) {
		case *corev1.Namespace:
			_, err = g.client.CoreV1().Namespaces().Create(ctx, obj, create)
		case *corev1.ServiceAccount:
			_, err = g.client.CoreV1().ServiceAccounts("portolan").Create(ctx, obj, create)
		case *rbacv1.ClusterRole:
			_, err = g.client.RbacV1().ClusterRoles().Create(ctx, obj, create)
		case *rbacv1.ClusterRoleBinding:
			_, err = g.client.RbacV1().ClusterRoleBindings().Create(ctx, obj, create)
		case *rbacv1.Role:
			_, err = g.client.RbacV1().Roles(obj.Namespace).Create(ctx, obj, create)
		case *rbacv1.RoleBinding:
			_, err = g.client.RbacV1().RoleBindings(obj.Namespace).Create(ctx, obj, create)
		default:
			g.t.Fatalf("%s: nobody knows how to create a %T", file, obj)
		}
		g.must(err)
	}
}

// token is that of a service account, which is made if it isn't there.
func (g *ground) token(namespace, name string) string {
	g.t.Helper()
	accounts := g.client.CoreV1().ServiceAccounts(namespace)
	if _, err := accounts.Get(g.t.Context(), name, metav1.GetOptions{}); err != nil {
		_, err = accounts.Create(g.t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		g.must(err)
	}
	request, err := accounts.CreateToken(g.t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	g.must(err)
	return request.Status.Token
}

func (g *ground) writeKubeconfig(file, token string) {
	g.t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: g.kube.Config.Host, CertificateAuthorityData: g.kube.Config.CAData}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	g.must(clientcmd.WriteToFile(*config, file))
}

// bind gives a role to somebody in all namespaces.
func (g *ground) bind(role string, who rbacv1.Subject) {
	g.t.Helper()
	_, err := g.client.RbacV1().ClusterRoleBindings().Create(g.t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{who},
	}, metav1.CreateOptions{})
	g.must(err)
}

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

func account(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

// caller is somebody with connections of his own.
type caller struct {
	t      testing.TB
	url    string
	client *http.Client
	header http.Header
}

// newCaller makes one. Certificate and token may be missing.
func newCaller(t testing.TB, server *framework.Server, cert *tls.Certificate, token string, headers ...string) *caller {
	t.Helper()
	return newCallerAt(t, server.Config.Host, server.DataDir, cert, token, headers...)
}

func newCallerAt(t testing.TB, url, dataDir string, cert *tls.Certificate, token string, headers ...string) *caller {
	t.Helper()
	authority, err := os.ReadFile(filepath.Join(dataDir, ownAuthority))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	config := &tls.Config{RootCAs: pool}
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	c := &caller{t: t, url: url, client: &http.Client{Transport: transport, Timeout: timeout}, header: http.Header{}}
	if token != "" {
		c.header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		c.header.Add(headers[i], headers[i+1])
	}
	return c
}

// answer is what a caller got.
type answer struct {
	code    int
	body    string
	header  http.Header
	auditID string
}

func (c *caller) do(method, path, body string) answer {
	c.t.Helper()
	header := c.header.Clone()
	header.Set("Content-Type", "application/json")
	response, text := framework.Send(c.t, c.client, method, c.url+path, strings.NewReader(body), header)
	return answer{response.StatusCode, text, response.Header, response.Header.Get("Audit-Id")}
}

func (c *caller) get(path string) answer { c.t.Helper(); return c.do(http.MethodGet, path, "") }

// event is what the audit log has of an answer, once it is there.
func (g *ground) event(a answer) auditv1.Event {
	g.t.Helper()
	var found auditv1.Event
	framework.Eventually(g.t, "a line in the audit log", func(context.Context) (bool, error) {
		data, err := os.ReadFile(g.audit)
		g.must(err)
		for line := range bytes.Lines(data) {
			var event auditv1.Event
			if json.Unmarshal(line, &event) == nil && string(event.AuditID) == a.auditID {
				found = event
				return true, nil
			}
		}
		return false, nil
	})
	return found
}
