//go:build e2e

package aggregated

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// authority signs certificates, and keeps them all in one directory.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t *testing.T, dir, name string) *authority {
	t.Helper()
	dir = filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	a := &authority{dir: dir, key: newKey(t)}
	var err error
	if a.cert, err = certutil.NewSelfSignedCACert(certutil.Config{CommonName: name}, a.key); err != nil {
		t.Fatal(err)
	}
	store(t, a.file("ca"), a.cert, a.key)
	return a
}

// pair are the files of a certificate and its key.
type pair struct{ cert, key string }

func (a *authority) file(name string) pair {
	return pair{cert: filepath.Join(a.dir, name+".crt"), key: filepath.Join(a.dir, name+".key")}
}

// issue makes a certificate that is good for clients, and for a server on the
// addresses and names. The organizations are what Kubernetes takes for groups.
func (a *authority) issue(t *testing.T, name string, groups []string, addresses ...string) pair {
	t.Helper()
	key := newKey(t)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		NotBefore:    a.cert.NotBefore, NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, address := range addresses {
		if ip := net.ParseIP(address); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, address)
		}
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(signed)
	if err != nil {
		t.Fatal(err)
	}
	files := a.file(name)
	store(t, files, cert, key)
	return files
}

// kubeconfig is a file with which a user of the cluster comes to its address.
func (a *authority) kubeconfig(t *testing.T, name string, groups ...string) string {
	t.Helper()
	files := a.issue(t, name, groups)
	return writeKubeconfig(t, filepath.Join(a.dir, name+".kubeconfig"), a.file("ca").cert,
		&clientcmdapi.AuthInfo{ClientCertificate: files.cert, ClientKey: files.key})
}

func writeKubeconfig(t *testing.T, file, ca string, user *clientcmdapi.AuthInfo) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["cluster"] = &clientcmdapi.Cluster{Server: clusterURL, CertificateAuthority: ca}
	config.AuthInfos["user"] = user
	config.Contexts["user"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "user"}
	config.CurrentContext = "user"
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func store(t *testing.T, files pair, cert *x509.Certificate, key crypto.PrivateKey) {
	t.Helper()
	encoded, err := certutil.EncodeCertificates(cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := certutil.WriteCert(files.cert, encoded); err != nil {
		t.Fatal(err)
	}
	private, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := keyutil.WriteKey(files.key, private); err != nil {
		t.Fatal(err)
	}
}
