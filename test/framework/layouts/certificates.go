package layouts

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

const lifetime = time.Hour

// authority signs certificates.
type authority struct {
	certificates.Pair
	// file has its certificate.
	file string
}

func newAuthority(t testing.TB, name string) authority {
	t.Helper()
	pair, err := certificates.NewAuthority(filepath.Base(name), time.Now(), lifetime)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{pair, name + ".crt"}
	write(t, a.file, certificates.EncodeCerts(pair.Cert))
	return a
}

// readAuthority reads the authority of a directory.
func readAuthority(t testing.TB, dir string) authority {
	t.Helper()
	file := filepath.Join(dir, "ca.crt")
	cert, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := certificates.Parse(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return authority{pair, file}
}

// Authority returns the certificate of the cluster's authority, which the gateway uses too.
func (c *Cluster) Authority() []byte { return certificates.EncodeCerts(c.users.Cert) }

func (a authority) base64() string {
	return base64.StdEncoding.EncodeToString(certificates.EncodeCerts(a.Cert))
}

// client writes a client certificate and its key.
func (a authority) client(t testing.TB, prefix, name string, groups ...string) (certFile, keyFile string) {
	t.Helper()
	return a.issue(t, prefix, x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// serving writes a serving certificate, followed by that of the authority, and its key.
func (a authority) serving(t testing.TB, prefix string, hosts ...string) (certFile, keyFile string) {
	t.Helper()
	template := x509.Certificate{Subject: pkix.Name{CommonName: hosts[0]}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	certificates.SetHosts(&template, hosts...)
	return a.issue(t, prefix, template)
}

func (a authority) issue(t testing.TB, prefix string, template x509.Certificate) (certFile, keyFile string) {
	t.Helper()
	pair, err := a.Issue(template, time.Now(), lifetime)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := pair.Encode()
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = prefix+".crt", prefix+".key"
	write(t, certFile, slices.Concat(cert, certificates.EncodeCerts(a.Cert)))
	write(t, keyFile, key)
	return certFile, keyFile
}

func write(t testing.TB, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// kubeconfig writes the kubeconfig of a user for a server whose certificate the cluster's
// authority signed.
func (c *Cluster) kubeconfig(t testing.TB, file, server, cert, key string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["cluster"] = &clientcmdapi.Cluster{Server: server, CertificateAuthority: c.users.file}
	config.AuthInfos["user"] = &clientcmdapi.AuthInfo{ClientCertificate: cert, ClientKey: key}
	config.Contexts["user"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "user"}
	config.CurrentContext = "user"
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}
