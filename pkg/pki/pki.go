// Package pki keeps the certificates that a server makes for itself: a
// certificate authority, its own serving certificate and, where there is no
// cluster to say who may do what, the administrator's client certificate with a
// kubeconfig that uses it.
//
// Everything is in one directory and found again at the next start. What has
// expired, is about to, or no longer fits is made anew; the authority is not,
// since clients trust it.
package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/portolan-dev/portolan/pkg/certificate"
)

const (
	authorityLifetime = 10 * 365 * 24 * time.Hour
	lifetime          = 365 * 24 * time.Hour
	// renewBefore is when a certificate is made anew at a start.
	renewBefore = 30 * 24 * time.Hour

	admin = "portolan-admin"
)

// Files are the files of a directory.
type Files struct {
	CACert                  string
	ServingCert, ServingKey string
	// Kubeconfig is the administrator's. It is empty where there is none.
	Kubeconfig string
}

// Server describes who is served.
type Server struct {
	// URL that the kubeconfig points to.
	URL string
	// IPs and Names that the serving certificate is for.
	IPs   []net.IP
	Names []string
}

// Ensure makes what is missing in a directory and says where everything is.
// Keys and the kubeconfig are readable by their owner only.
func Ensure(dir string, server Server, now time.Time) (Files, error) {
	files, ca, err := ensureServing(dir, server, now)
	if err != nil {
		return Files{}, err
	}
	client := x509.Certificate{
		Subject:     pkix.Name{CommonName: admin, Organization: []string{user.SystemPrivilegedGroup}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	pkiDir := filepath.Dir(files.CACert)
	cert, key := filepath.Join(pkiDir, "admin.crt"), filepath.Join(pkiDir, "admin.key")
	if err := ensureSigned(ca, cert, key, client, now); err != nil {
		return Files{}, err
	}
	files.Kubeconfig = filepath.Join(dir, "admin.kubeconfig")
	return files, writeKubeconfig(files, cert, key, server.URL)
}

// EnsureServing is Ensure without the administrator.
func EnsureServing(dir string, server Server, now time.Time) (Files, error) {
	files, _, err := ensureServing(dir, server, now)
	return files, err
}

func ensureServing(dir string, server Server, now time.Time) (Files, certificate.Pair, error) {
	pkiDir := filepath.Join(dir, "pki")
	if err := os.MkdirAll(pkiDir, 0o700); err != nil {
		return Files{}, certificate.Pair{}, err
	}
	files := Files{
		CACert:      filepath.Join(pkiDir, "ca.crt"),
		ServingCert: filepath.Join(pkiDir, "serving.crt"),
		ServingKey:  filepath.Join(pkiDir, "serving.key"),
	}
	ca, err := ensureAuthority(files.CACert, filepath.Join(pkiDir, "ca.key"), now)
	if err != nil {
		return Files{}, ca, err
	}
	serving := x509.Certificate{
		Subject:     pkix.Name{CommonName: "portolan"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: server.IPs,
		DNSNames:    server.Names,
	}
	if err := ensureSigned(ca, files.ServingCert, files.ServingKey, serving, now); err != nil {
		return Files{}, ca, err
	}
	return files, ca, nil
}

func ensureAuthority(certFile, keyFile string, now time.Time) (certificate.Pair, error) {
	authority, err := load(certFile, keyFile)
	switch {
	case err == nil && now.After(authority.Cert.NotAfter):
		return authority, fmt.Errorf("the certificate authority in %s has expired: remove %s to have everything made anew", certFile, filepath.Dir(certFile))
	case err == nil:
		return authority, nil
	case !errors.Is(err, fs.ErrNotExist):
		return authority, err
	case exists(certFile):
		// Clients trust it: a key that is missing must not replace it.
		return authority, fmt.Errorf("the certificate authority in %s has no key: %w", certFile, err)
	}
	if authority, err = certificate.NewAuthority("portolan-ca", now, authorityLifetime); err != nil {
		return authority, err
	}
	return authority, store(certFile, keyFile, authority)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// ensureSigned makes a certificate unless there is one that will do.
func ensureSigned(authority certificate.Pair, certFile, keyFile string, template x509.Certificate, now time.Time) error {
	current, err := load(certFile, keyFile)
	if err == nil && current.Cert.CheckSignatureFrom(authority.Cert) == nil &&
		now.Add(renewBefore).Before(current.Cert.NotAfter) && certificate.Covers(current.Cert, &template) {
		return nil
	}
	// The two files can't be written at once: a stop in between leaves a pair
	// that doesn't match.
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, certificate.ErrMismatch) {
		return err
	}
	made, err := authority.Issue(template, now, lifetime)
	if err != nil {
		return err
	}
	return store(certFile, keyFile, made)
}

func load(certFile, keyFile string) (certificate.Pair, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return certificate.Pair{}, err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return certificate.Pair{}, err
	}
	pair, err := certificate.Parse(cert, key)
	if err != nil {
		return pair, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	return pair, nil
}

func store(certFile, keyFile string, pair certificate.Pair) error {
	cert, key, err := pair.Encode()
	if err != nil {
		return err
	}
	if err := write(keyFile, key, 0o600); err != nil {
		return err
	}
	return write(certFile, cert, 0o644)
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
