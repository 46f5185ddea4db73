package datadir

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

// Issued is a client certificate that the authority of a directory has issued.
type Issued struct {
	User
	Expires time.Time
}

// recordIssued keeps a copy of a user's certificate, without its key.
func recordIssued(dir string, issued *x509.Certificate) error {
	certFile, _ := authorityFiles(dir)
	records := filepath.Join(filepath.Dir(certFile), "users")
	if err := os.MkdirAll(records, 0o700); err != nil {
		return err
	}
	name := fmt.Sprintf("%x.crt", sha256.Sum256(issued.Raw))
	return write(filepath.Join(records, name), certificates.EncodeCerts(issued), 0o600)
}

// Users returns the client certificates that the authority of a directory has issued,
// ordered by name: those of which it keeps a copy, and those in kubeconfigs in the
// directory, of which earlier releases kept none. Other files are left out.
func Users(dir string) ([]Issued, error) {
	certFile, _ := authorityFiles(dir)
	authorities, err := cert.CertsFromFile(certFile)
	if err != nil {
		return nil, err
	}
	records, err := filepath.Glob(filepath.Join(filepath.Dir(certFile), "users", "*.crt"))
	if err != nil {
		return nil, err
	}
	kubeconfigs, err := filepath.Glob(filepath.Join(dir, "*.kubeconfig"))
	if err != nil {
		return nil, err
	}
	var found []*x509.Certificate
	add := func(certs []*x509.Certificate, err error) {
		if err == nil && len(certs) > 0 && certs[0].CheckSignatureFrom(authorities[0]) == nil {
			found = append(found, certs[0])
		}
	}
	for _, file := range records {
		add(cert.CertsFromFile(file))
	}
	for _, file := range kubeconfigs {
		config, err := clientcmd.LoadFromFile(file)
		if err != nil {
			continue
		}
		for _, user := range config.AuthInfos {
			add(cert.ParseCertsPEM(user.ClientCertificateData))
		}
	}
	slices.SortFunc(found, func(a, b *x509.Certificate) int {
		return cmp.Or(cmp.Compare(a.Subject.CommonName, b.Subject.CommonName), a.NotAfter.Compare(b.NotAfter), bytes.Compare(a.Raw, b.Raw))
	})
	var users []Issued
	for _, c := range slices.CompactFunc(found, (*x509.Certificate).Equal) {
		users = append(users, Issued{User: User{Name: c.Subject.CommonName, Groups: c.Subject.Organization}, Expires: c.NotAfter})
	}
	return users, nil
}
