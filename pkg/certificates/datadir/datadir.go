// Package datadir stores the certificates that a server creates for itself: a
// certificate authority, its serving certificate and, on a standalone server, the
// administrator's client certificate and kubeconfig, and the key that signs the tokens of
// ServiceAccounts. The keys of other users are created on demand and not stored, only
// their certificates are.
//
// Everything is in one directory and reused at the next start. Certificates that
// have expired, expire soon or lack a host are renewed. The authority is not
// renewed, because clients trust it. Nor is the key of tokens, which has no expiry.
package datadir

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

	"github.com/portolan-dev/portolan/pkg/certificates"
)

const (
	authorityLifetime = 10 * 365 * 24 * time.Hour
	lifetime          = 365 * 24 * time.Hour
	// renewBefore is how long before its expiry a certificate is renewed at a start.
	renewBefore = 30 * 24 * time.Hour

	admin           = "portolan-admin"
	adminKubeconfig = "admin.kubeconfig"
)

// Files holds the names of the files in a directory.
type Files struct {
	CACert                  string
	ServingCert, ServingKey string
	// AccountKey signs the tokens of ServiceAccounts. It is empty if there is none.
	AccountKey string
	// Kubeconfig is the administrator's. It is empty if there is none.
	Kubeconfig string
	// Moved lists the users' kubeconfigs that were updated because the server's URL
	// has changed.
	Moved []string
}

// Server describes the server that the certificates are for.
type Server struct {
	// URL is the server's URL in the kubeconfig.
	URL string
	// IPs and Names are the hosts in the serving certificate.
	IPs   []net.IP
	Names []string
}

// AdminKubeconfig returns the name of the administrator's kubeconfig in a directory.
func AdminKubeconfig(dir string) string { return filepath.Join(dir, adminKubeconfig) }

// Ensure creates the missing files in a directory, renews certificates that are due,
// and returns the names of the files. Only the owner can read the keys and the
// kubeconfig. Ensure fails if the authority has expired or its key is missing.
func Ensure(dir string, server Server, now time.Time) (Files, error) {
	files, ca, err := ensureServing(dir, server, now)
	if err != nil {
		return Files{}, err
	}
	client := clientTemplate(User{Name: admin, Groups: []string{user.SystemPrivilegedGroup}})
	pkiDir := filepath.Dir(files.CACert)
	cert, key := filepath.Join(pkiDir, "admin.crt"), filepath.Join(pkiDir, "admin.key")
	if err := ensureSigned(ca, cert, key, client, now); err != nil {
		return Files{}, err
	}
	if files.AccountKey, err = ensureAccountKey(pkiDir); err != nil {
		return Files{}, err
	}
	files.Kubeconfig = filepath.Join(dir, adminKubeconfig)
	before, err := serverURL(dir)
	if err == nil && before != server.URL {
		if files.Moved, err = moveKubeconfigs(dir, before, server.URL); err != nil {
			return Files{}, err
		}
	}
	return files, writeKubeconfig(files, cert, key, server.URL)
}

// EnsureServing does what Ensure does, without the administrator's files.
func EnsureServing(dir string, server Server, now time.Time) (Files, error) {
	files, _, err := ensureServing(dir, server, now)
	return files, err
}

func ensureServing(dir string, server Server, now time.Time) (Files, certificates.Pair, error) {
	caCert, caKey := authorityFiles(dir)
	pkiDir := filepath.Dir(caCert)
	if err := os.MkdirAll(pkiDir, 0o700); err != nil {
		return Files{}, certificates.Pair{}, err
	}
	files := Files{
		CACert:      caCert,
		ServingCert: filepath.Join(pkiDir, "serving.crt"),
		ServingKey:  filepath.Join(pkiDir, "serving.key"),
	}
	ca, err := ensureAuthority(caCert, caKey, now)
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

// authorityFiles returns the names of the authority's files in a directory.
func authorityFiles(dir string) (cert, key string) {
	return filepath.Join(dir, "pki", "ca.crt"), filepath.Join(dir, "pki", "ca.key")
}

func expiredError(certFile string) error {
	return fmt.Errorf("the certificate authority in %s has expired: remove %s to have all certificates created again", certFile,
		filepath.Dir(certFile))
}

func ensureAuthority(certFile, keyFile string, now time.Time) (certificates.Pair, error) {
	authority, err := load(certFile, keyFile)
	switch {
	case err == nil && now.After(authority.Cert.NotAfter):
		return authority, expiredError(certFile)
	case err == nil:
		return authority, nil
	case !errors.Is(err, fs.ErrNotExist):
		return authority, err
	case exists(certFile):
		// Clients trust this authority. It must not be replaced because its key is
		// missing.
		return authority, fmt.Errorf("the certificate authority in %s has no key: %w", certFile, err)
	}
	if authority, err = certificates.NewAuthority("portolan-ca", now, authorityLifetime); err != nil {
		return authority, err
	}
	return authority, store(certFile, keyFile, authority)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// ensureSigned issues a certificate unless the stored one can still be used.
func ensureSigned(authority certificates.Pair, certFile, keyFile string, template x509.Certificate, now time.Time) error {
	current, err := load(certFile, keyFile)
	if err == nil && current.Cert.CheckSignatureFrom(authority.Cert) == nil &&
		now.Add(renewBefore).Before(current.Cert.NotAfter) && certificates.Covers(current.Cert, &template) {
		return nil
	}
	// The two files are not written atomically: a crash in between leaves a mismatch.
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, certificates.ErrMismatch) {
		return err
	}
	issued, err := authority.Issue(template, now, lifetime)
	if err != nil {
		return err
	}
	return store(certFile, keyFile, issued)
}

func load(certFile, keyFile string) (certificates.Pair, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return certificates.Pair{}, err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return certificates.Pair{}, err
	}
	pair, err := certificates.Parse(cert, key)
	if err != nil {
		return pair, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	return pair, nil
}

func store(certFile, keyFile string, pair certificates.Pair) error {
	cert, key, err := pair.Encode()
	if err != nil {
		return err
	}
	if err := write(keyFile, key, 0o600); err != nil {
		return err
	}
	return write(certFile, cert, 0o644)
}

// write writes a file atomically.
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

func writeKubeconfig(files Files, certFile, keyFile, url string) error {
	var errs []error
	read := func(file string) []byte {
		data, err := os.ReadFile(file)
		errs = append(errs, err)
		return data
	}
	authority, cert, key := read(files.CACert), read(certFile), read(keyFile)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	data, err := kubeconfig(admin, url, authority, cert, key)
	if err != nil {
		return err
	}
	return write(files.Kubeconfig, data, 0o600)
}

// kubeconfig returns a kubeconfig that refers to no other file, so that it can be
// moved. The certificates and the key are PEM.
func kubeconfig(user, url string, authority, cert, key []byte) ([]byte, error) {
	const name = "portolan"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: authority}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user, Namespace: "default"}
	config.CurrentContext = name
	return clientcmd.Write(*config)
}
