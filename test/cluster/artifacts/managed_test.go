//go:build e2e

package artifacts

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

const managedPage = "docs/gateway-managed.md"

// kubeadmAddons are kube-proxy's and CoreDNS's objects, as kubeadm 1.36 makes them, as far
// as the page changes them.
const kubeadmAddons = `
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-proxy, namespace: kube-system}
data:
  config.conf: |-
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    clientConnection:
      kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
    kind: KubeProxyConfiguration
  kubeconfig.conf: |-
    apiVersion: v1
    kind: Config
    clusters:
    - cluster:
        certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
        server: https://192.0.2.1:6443
      name: default
    contexts:
    - context:
        cluster: default
        namespace: default
        user: default
      name: default
    current-context: default
    users:
    - name: default
      user:
        tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
---
apiVersion: v1
kind: ConfigMap
metadata: {name: coredns, namespace: kube-system}
data:
  Corefile: |
    .:53 {
        errors
        health {
           lameduck 5s
        }
        ready
        kubernetes cluster.local in-addr.arpa ip6.arpa {
           pods insecure
           fallthrough in-addr.arpa ip6.arpa
           ttl 30
        }
        forward . /etc/resolv.conf
    }
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: kube-dns}}
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec:
      containers:
      - name: coredns
        image: registry.k8s.io/coredns/coredns:v1.14.2
        volumeMounts:
        - {name: config-volume, mountPath: /etc/coredns, readOnly: true}
      volumes:
      - name: config-volume
        configMap: {name: coredns, items: [{key: Corefile, path: Corefile}]}
`

// TestManagedPage types what the page says of kube-proxy and CoreDNS, and the way back, on
// their objects as kubeadm makes them.
func TestManagedPage(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.Feed(kubeadmAddons, "create", "-f", "-")
	root := t.TempDir()
	authority, err := certificates.NewAuthority("gateway", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ca := certificates.EncodeCerts(authority.Cert)
	for file, data := range map[string][]byte{
		"ca.crt": ca, "artifacts/examples/managed/kubeconfig.yaml": example(t, "managed/kubeconfig.yaml"),
		"artifacts/examples/managed/coredns-patch.yaml": example(t, "managed/coredns-patch.yaml"),
		"artifacts/examples/managed/apiservice.yaml":    example(t, "managed/apiservice.yaml"),
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data := func(name string) map[string]string {
		t.Helper()
		var configMap corev1.ConfigMap
		if err := json.Unmarshal([]byte(c.Run("get", "configmap", name, "-n", "kube-system", "-o", "json")), &configMap); err != nil {
			t.Fatal(err)
		}
		return configMap.Data
	}
	proxyBefore, dnsBefore := data("kube-proxy")["kubeconfig.conf"], data("coredns")["Corefile"]
	blocks := consoleBlocks(t, managedPage)
	typed := func(text string) { typeBlock(t, root, blocks, text, "KUBECONFIG="+c.Kubeconfig) }

	typed("> kube-proxy.yaml")
	config, err := clientcmd.Load([]byte(data("kube-proxy")["kubeconfig.conf"]))
	if err != nil {
		t.Fatal(err)
	}
	if cluster := config.Clusters["default"]; cluster.Server != "https://192.0.2.10:6443" || cluster.CertificateAuthority != "" ||
		string(cluster.CertificateAuthorityData) != string(ca) || config.AuthInfos["default"].TokenFile == "" {
		t.Errorf("kube-proxy uses %+v", cluster)
	}
	typed("> coredns.yaml")
	corefile := data("coredns")["Corefile"]
	block := strings.Index(corefile, "kubernetes cluster.local")
	if strings.Count(corefile, "kubeconfig /etc/gateway/kubeconfig\n") != 1 || strings.Index(corefile, "kubeconfig") < block {
		t.Errorf("the Corefile is\n%s", corefile)
	}
	volumes := c.Run("get", "deployment", "coredns", "-n", "kube-system", "-o",
		"jsonpath={.spec.template.spec.volumes[*].configMap.name} {.spec.template.spec.containers[0].volumeMounts[*].mountPath}")
	for _, want := range []string{"coredns-gateway", "/etc/gateway", "/etc/coredns"} {
		if !strings.Contains(volumes, want) {
			t.Errorf("CoreDNS has %s, without %s", volumes, want)
		}
	}
	c.Run("create", "namespace", "portolan")
	c.Run("apply", "-f", filepath.Join(root, "artifacts/examples/managed/apiservice.yaml"))
	typed("grep -v resourceVersion")
	if data("kube-proxy")["kubeconfig.conf"] != proxyBefore || data("coredns")["Corefile"] != dnsBefore {
		t.Errorf("after the way back: %v, %v", data("kube-proxy"), data("coredns"))
	}
}
