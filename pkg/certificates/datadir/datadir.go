// Package datadir keeps the certificates that a server makes for itself: a
// certificate authority, its own serving certificate and, where there is no
// cluster to say who may do what, the administrator's client certificate with a
// kubeconfig that uses it. Those of other users are made on demand and not kept.
//
// Everything is in one directory and found again at the next start. What has
// expired, is about to, or no longer fits is made anew; the authority is not,
// since clients trust it.
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
	// renewBefore is when a certificate is made anew at a start.
	renewBefore = 30 * 24 * time.Hour

	admin           = "portolan-admin"
	adminKubeconfig = "admin.kubeconfig"
)

// Files are the files of a directory.
type Files struct {
	CACert                  string
	ServingCert, ServingKey string
	// Kubeconfig is the administrator's. It is empty where there is none.
	Kubeconfig string
	// Moved are the kubeconfigs of users that led to where the server was before,
	// and that lead to it again.
	Moved []string
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
	client := clientTemplate(User{Name: admin, Groups: []string{user.SystemPrivilegedGroup}})
	pkiDir := filepath.Dir(files.CACert)
	cert, key := filepath.Join(pkiDir, "admin.crt"), filepath.Join(pkiDir, "admin.key")
	if err := ensureSigned(ca, cert, key, client, now); err != nil {
		return Files{}, err
	}
	files.Kubeconfig = filepath.Join(dir, adminKubeconfig)
	before, err := serverURL(dir)
	if err == nil && before != server.URL {
		if files.Moved, err = moveUsers(dir, before, server.URL); err != nil {
			return Files{}, err
		}
	}
	return files, writeKubeconfig(files, cert, key, server.URL)
}

// EnsureServing is Ensure without the administrator.
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

// authorityFiles are those of a directory's authority.
func authorityFiles(dir string) (cert, key string) {
	return filepath.Join(dir, "pki", "ca.crt"), filepath.Join(dir, "pki", "ca.key")
}

func expiredError(certFile string) error {
	return fmt.Errorf("the certificate authority in %s has expired: remove %s to have everything made anew", certFile, filepath.Dir(certFile))
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
		// Clients trust it: a key that is missing must not replace it.
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

// ensureSigned makes a certificate unless there is one that will do.
func ensureSigned(authority certificates.Pair, certFile, keyFile string, template x509.Certificate, now time.Time) error {
	current, err := load(certFile, keyFile)
	if err == nil && current.Cert.CheckSignatureFrom(authority.Cert) == nil &&
		now.Add(renewBefore).Before(current.Cert.NotAfter) && certificates.Covers(current.Cert, &template) {
		return nil
	}
	// The two files can't be written at once: a stop in between leaves a pair
	// that doesn't match.
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, certificates.ErrMismatch) {
		return err
	}
	made, err := authority.Issue(template, now, lifetime)
	if err != nil {
		return err
	}
	return store(certFile, keyFile, made)
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

// kubeconfig is one that holds all it needs, so that it can be taken elsewhere.
// The certificates and the key are PEM.
func kubeconfig(user, url string, authority, cert, key []byte) ([]byte, error) {
	const name = "portolan"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: authority}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user, Namespace: "default"}
	config.CurrentContext = name
	return clientcmd.Write(*config)
}
