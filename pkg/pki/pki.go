// Package pki keeps the certificates that a server without a cluster makes for
// itself: a certificate authority, its own serving certificate, and the
// administrator's client certificate with a kubeconfig that uses it.
//
// Everything is in one directory and found again at the next start. What has
// expired, is about to, or no longer fits is made anew; the authority is not,
// since clients trust it.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	authorityLifetime = 10 * 365 * 24 * time.Hour
	lifetime          = 365 * 24 * time.Hour
	// renewBefore is when a certificate is made anew at a start.
	renewBefore = 30 * 24 * time.Hour
	// backdate allows for clocks that run behind.
	backdate = 5 * time.Minute

	admin = "portolan-admin"
)

var errMismatch = errors.New("the certificate is not the key's")

// Files are the files of a directory.
type Files struct {
	CACert                  string
	ServingCert, ServingKey string
	Kubeconfig              string
}

// Server describes who is served.
type Server struct {
	// URL that the kubeconfig points to.
	URL string
	// IPs and Names that the serving certificate is for.
	IPs   []net.IP
	Names []string
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// Ensure makes what is missing in a directory and says where everything is.
// Keys and the kubeconfig are readable by their owner only.
func Ensure(dir string, server Server, now time.Time) (Files, error) {
	pkiDir := filepath.Join(dir, "pki")
	if err := os.MkdirAll(pkiDir, 0o700); err != nil {
		return Files{}, err
	}
	files := Files{
		CACert:      filepath.Join(pkiDir, "ca.crt"),
		ServingCert: filepath.Join(pkiDir, "serving.crt"),
		ServingKey:  filepath.Join(pkiDir, "serving.key"),
		Kubeconfig:  filepath.Join(dir, "admin.kubeconfig"),
	}
	ca, err := ensureAuthority(files.CACert, filepath.Join(pkiDir, "ca.key"), now)
	if err != nil {
		return Files{}, err
	}
	serving := x509.Certificate{
		Subject:     pkix.Name{CommonName: "portolan"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: server.IPs,
		DNSNames:    server.Names,
	}
	if err := ca.ensure(files.ServingCert, files.ServingKey, serving, now); err != nil {
		return Files{}, err
	}
	client := x509.Certificate{
		Subject:     pkix.Name{CommonName: admin, Organization: []string{user.SystemPrivilegedGroup}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	cert, key := filepath.Join(pkiDir, "admin.crt"), filepath.Join(pkiDir, "admin.key")
	if err := ca.ensure(cert, key, client, now); err != nil {
		return Files{}, err
	}
	return files, writeKubeconfig(files, cert, key, server.URL)
}

func ensureAuthority(certFile, keyFile string, now time.Time) (*authority, error) {
	cert, key, err := load(certFile, keyFile)
	switch {
	case err == nil && now.After(cert.NotAfter):
		return nil, fmt.Errorf("the certificate authority in %s has expired: remove %s to have everything made anew", certFile, filepath.Dir(certFile))
	case err == nil:
		return &authority{cert, key}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case exists(certFile):
		// Clients trust it: a key that is missing must not replace it.
		return nil, fmt.Errorf("the certificate authority in %s has no key: %w", certFile, err)
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{
		Subject:               pkix.Name{CommonName: "portolan-ca"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	made, err := sign(template, &template, signer.Public(), signer)
	if err != nil {
		return nil, err
	}
	return &authority{made, signer}, store(certFile, keyFile, made, signer)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// ensure makes a certificate unless there is one that will do.
func (a *authority) ensure(certFile, keyFile string, template x509.Certificate, now time.Time) error {
	cert, _, err := load(certFile, keyFile)
	if err == nil && cert.CheckSignatureFrom(a.cert) == nil && now.Add(renewBefore).Before(cert.NotAfter) && covers(cert, &template) {
		return nil
	}
	// The two files can't be written at once: a stop in between leaves a pair
	// that doesn't match.
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errMismatch) {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template.NotBefore, template.NotAfter = now.Add(-backdate), now.Add(lifetime)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	made, err := sign(template, a.cert, key.Public(), a.key)
	if err != nil {
		return err
	}
	return store(certFile, keyFile, made, key)
}

// covers says whether a certificate is good for all that is asked of it.
func covers(cert, wanted *x509.Certificate) bool {
	for _, ip := range wanted.IPAddresses {
		if cert.VerifyHostname(ip.String()) != nil {
			return false
		}
	}
	for _, name := range wanted.DNSNames {
		if cert.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

func sign(template x509.Certificate, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func load(certFile, keyFile string) (*x509.Certificate, crypto.Signer, error) {
	certs, err := certutil.CertsFromFile(certFile)
	if err != nil {
		return nil, nil, err
	}
	key, err := keyutil.PrivateKeyFromFile(keyFile)
	if err != nil {
		return nil, nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("%s holds a key that can't sign", keyFile)
	}
	if public, ok := certs[0].PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(signer.Public()) {
		return nil, nil, fmt.Errorf("%s and %s: %w", certFile, keyFile, errMismatch)
	}
	return certs[0], signer, nil
}

func store(certFile, keyFile string, cert *x509.Certificate, key crypto.Signer) error {
	encoded, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	if err := write(keyFile, encoded, 0o600); err != nil {
		return err
	}
	return write(certFile, pem.EncodeToMemory(&pem.Block{Type: certutil.CertificateBlockType, Bytes: cert.Raw}), 0o644)
}

// write makes a file appear whole or not at all, whenever the process ends.
func write(file string, data []byte, mode os.FileMode) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	_, err = temporary.Write(data)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), file)
}

// writeKubeconfig writes a kubeconfig that holds all it needs, so that it can
// be taken elsewhere.
func writeKubeconfig(files Files, certFile, keyFile, url string) error {
	config := clientcmdapi.NewConfig()
	const name = "portolan"
	var errs []error
	read := func(file string) []byte {
		data, err := os.ReadFile(file)
		errs = append(errs, err)
		return data
	}
	config.Clusters[name] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: read(files.CACert)}
	config.AuthInfos[admin] = &clientcmdapi.AuthInfo{ClientCertificateData: read(certFile), ClientKeyData: read(keyFile)}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: admin, Namespace: "default"}
	config.CurrentContext = name
	if err := errors.Join(errs...); err != nil {
		return err
	}
	data, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return write(files.Kubeconfig, data, 0o600)
}
