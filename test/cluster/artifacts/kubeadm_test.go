package artifacts

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

const kubeadmPage = "docs/gateway-kubeadm.md"

// TestStaticPod wants the gateway of a kubeadm cluster to take its arguments, and to find
// what they name in directories of the node.
func TestStaticPod(t *testing.T) {
	t.Parallel()
	pod := Decode(t, parse(t, example(t, "kubeadm/portolan.yaml")).Get(t, "Pod kube-system/portolan")).(*corev1.Pod)
	s := server{pod: pod.Spec, container: pod.Spec.Containers[0], args: pod.Spec.Containers[0].Args}
	o := s.options(t)
	if !o.ForwardsToCluster() || !o.KeepsKubernetesService() {
		t.Errorf("with %q it isn't the whole API", s.args)
	}
	if volume := s.mounted(o.DataDir); volume == nil || volume.EmptyDir == nil {
		t.Errorf("%s can't be written to", o.DataDir)
	}
	transport, pair := o.Etcd.StorageConfig.Transport, o.SecureServing.ServerCert.CertKey
	for _, file := range []string{o.CoreAPI.CoreAPIKubeconfigPath, o.Gateway.ProxyClientCertFile, o.Gateway.ProxyClientKeyFile,
		pair.CertFile, pair.KeyFile, transport.TrustedCAFile, transport.CertFile, transport.KeyFile} {
		volume := s.mounted(file)
		if volume == nil || volume.HostPath == nil || !strings.HasPrefix(file, volume.HostPath.Path+"/") {
			t.Errorf("%s is not a file of the node", file)
		}
	}
	for _, probe := range []*corev1.Probe{s.container.StartupProbe, s.container.LivenessProbe, s.container.ReadinessProbe} {
		if probe.HTTPGet.Port.IntValue() != o.SecureServing.BindPort {
			t.Errorf("%+v isn't what it listens on", probe.HTTPGet)
		}
	}
	dns := Decode(t, parse(t, example(t, "kubeadm/kube-dns.yaml"))[0]).(*corev1.Service)
	if page := readme(t, kubeadmPage); !strings.Contains(page, dns.Spec.ClusterIP) {
		t.Errorf("the page does not say %s", dns.Spec.ClusterIP)
	}
}

// TestKubeadmPage types what the page says of certificates and kubeconfigs, on files as
// kubeadm makes them. Programs that aren't here do nothing.
func TestKubeadmPage(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	etc := filepath.Join(root, "etc", "kubernetes")
	authority := writeKubeadmFiles(t, etc)
	blocks := consoleBlocks(t, kubeadmPage)

	typeBlock(t, root, blocks, "openssl req")
	checkGatewayCertificate(t, filepath.Join(etc, "portolan"), authority, "localhost", "127.0.0.1", "192.0.2.1", "10.112.0.1")
	if user, err := os.ReadFile(filepath.Join(etc, "portolan", "server.kubeconfig")); err != nil ||
		string(user) != "kubeadm kubeconfig user --client-name=system:serviceaccount:portolan:portolan\n" {
		t.Errorf("the user: %s, %v", user, err)
	}
	servers := func(want string) {
		t.Helper()
		for _, name := range []string{"controller-manager", "scheduler", "kubelet", "admin"} {
			config, err := clientcmd.LoadFromFile(filepath.Join(etc, name+".conf"))
			if err != nil {
				t.Fatal(err)
			}
			if cluster := config.Clusters["kubernetes"]; cluster.Server != want || len(cluster.CertificateAuthorityData) == 0 {
				t.Errorf("%s uses %s", name, cluster.Server)
			}
		}
	}
	manifest := filepath.Join(etc, "manifests", "kube-controller-manager.yaml")
	read := func() string {
		text, err := os.ReadFile(manifest)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := read()
	typeBlock(t, root, blocks, "&-endpoints-controller")
	servers("https://192.0.2.1:6444")
	const without = "--controllers=*,-endpoints-controller,-endpointslice-controller,-endpointslice-mirroring-controller," +
		"bootstrapsigner,tokencleaner\n"
	if got := read(); !strings.Contains(got, without) {
		t.Errorf("kube-controller-manager runs with\n%s", got)
	}
	typeBlock(t, root, blocks, "services.yaml")
	servers("https://192.0.2.1:6443")
	if got := read(); got != before {
		t.Errorf("after the way back kube-controller-manager runs with\n%s", got)
	}
}

// TestKindPage signs the gateway's certificate as the page says.
func TestKindPage(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	authority := writeKubeadmFiles(t, root)
	typeBlock(t, root, consoleBlocks(t, "docs/gateway-kind.md"), "openssl req")
	checkGatewayCertificate(t, filepath.Join(root, "gateway"), authority, "portolan-control-plane", "10.112.0.1", "localhost")
}

// writeKubeadmFiles writes what kubeadm has in /etc/kubernetes, as far as the page uses it.
func writeKubeadmFiles(t *testing.T, etc string) certificates.Pair {
	t.Helper()
	authority, err := certificates.NewAuthority("kubernetes", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := authority.Encode()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"pki/ca.crt": string(cert), "pki/ca.key": string(key),
		"manifests/kube-controller-manager.yaml": "    - --cluster-name=kubernetes\n    - --controllers=*,bootstrapsigner,tokencleaner\n" +
			"    - --leader-elect=true\n",
	}
	for _, name := range []string{"controller-manager", "scheduler", "kubelet", "admin"} {
		config := clientcmdapi.NewConfig()
		config.Clusters["kubernetes"] = &clientcmdapi.Cluster{Server: "https://192.0.2.1:6443", CertificateAuthorityData: cert}
		text, err := clientcmd.Write(*config)
		if err != nil {
			t.Fatal(err)
		}
		files[name+".conf"] = string(text)
	}
	for name, text := range files {
		file := filepath.Join(etc, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return authority
}

// checkGatewayCertificate wants Pods and components to trust the gateway.
func checkGatewayCertificate(t *testing.T, dir string, authority certificates.Pair, hosts ...string) {
	t.Helper()
	checkCertificate(t, dir, authority, append(hosts, "kubernetes.default.svc", "portolan.portolan.svc")...)
}

// checkCertificate wants the authority to have signed the certificate, for all hosts.
func checkCertificate(t *testing.T, dir string, authority certificates.Pair, hosts ...string) {
	t.Helper()
	cert, err := os.ReadFile(filepath.Join(dir, "gateway.crt"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "gateway.key"))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := certificates.Parse(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority.Cert)
	for _, name := range hosts {
		if _, err := pair.Cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
