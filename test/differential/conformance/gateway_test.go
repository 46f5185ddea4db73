//go:build e2e

package conformance

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/portolan-dev/portolan/pkg/certificates"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestGateway tests a gateway to a cluster whose kube-controller-manager uses the gateway
// too, and leaves endpoints and ranges to it.
func TestGateway(t *testing.T) {
	dir := t.TempDir()
	authority := filepath.Join(dir, "front-ca.crt")
	front, frontKey := filepath.Join(dir, "front.crt"), filepath.Join(dir, "front.key")
	writeFront(t, authority, front, frontKey)
	kube := framework.StartKube(t, "--service-cluster-ip-range="+range4+","+range6, "--requestheader-client-ca-file="+authority,
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-")
	etcd := framework.StartEtcd(t)
	gateway := framework.Start(t, func(o *options.Options) {
		framework.On(etcd)(o)
		yes := true
		o.ServeCore, o.KubernetesService, o.CoreAPI.CoreAPIKubeconfigPath = &yes, &yes, kube.Kubeconfig
		o.Gateway.ProxyClientCertFile, o.Gateway.ProxyClientKeyFile = front, frontKey
		o.ClusterIPRanges = []string{range4, range6}
		o.Run.AdvertiseAddress = net.ParseIP(advertised)
		o.Controllers.LeaderElection.LeaderElect = false
	})
	at := *kube
	at.Kubeconfig = filepath.Join(dir, "gateway.kubeconfig")
	writeKubeconfig(t, at.Kubeconfig, gateway.Config)
	framework.StartControllers(t, &at, framework.DeletionControllers)
	t.Cleanup(func() { framework.Verify(t, etcd.Client) })
	// The lists whose tokens expire are the cluster's.
	run(t, server{gateway.Config, framework.ConnectEtcd(t, kube.EtcdURL), true})
}

// writeFront writes the authority of front proxies, and a front proxy's certificate.
func writeFront(t *testing.T, authorityFile, certFile, keyFile string) {
	t.Helper()
	authority, err := certificates.NewAuthority("front", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(x509.Certificate{
		Subject: pkix.Name{CommonName: "front-proxy-client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := pair.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for file, data := range map[string][]byte{authorityFile: certificates.EncodeCerts(authority.Cert), certFile: cert, keyFile: key} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func writeKubeconfig(t *testing.T, file string, config *rest.Config) {
	t.Helper()
	if err := rest.LoadTLSFiles(config); err != nil {
		t.Fatal(err)
	}
	made := clientcmdapi.NewConfig()
	made.Clusters["c"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	made.AuthInfos["u"] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	made.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	made.CurrentContext = "x"
	if err := clientcmd.WriteToFile(*made, file); err != nil {
		t.Fatal(err)
	}
}
