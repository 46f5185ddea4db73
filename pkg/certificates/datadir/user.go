package datadir

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

// maxName is the longest common name or organization, in characters (RFC 5280,
// appendix A.1, ub-common-name and ub-organization-name).
const maxName = 64

// User is the subject of a client certificate. As in k8s.io/apiserver, the common
// name is the user and the organizations are the groups.
type User struct {
	Name   string
	Groups []string
}

// Validate returns all errors in the names.
func (u User) Validate() error {
	var errs []error
	check := func(what, name string, reserved ...string) {
		if problem := nameProblem(name); problem != "" {
			errs = append(errs, fmt.Errorf("%s %q: %s", what, name, problem))
		} else if slices.Contains(reserved, name) {
			errs = append(errs, fmt.Errorf("%s %q: it is reserved, only the server assigns it", what, name))
		}
	}
	check("user", u.Name, user.Anonymous, user.APIServerUser)
	for i, group := range u.Groups {
		check("group", group, user.AllAuthenticated, user.AllUnauthenticated)
		if slices.Contains(u.Groups[:i], group) {
			errs = append(errs, fmt.Errorf("group %q: it is given twice", group))
		}
	}
	return errors.Join(errs...)
}

func nameProblem(name string) string {
	switch {
	case name == "":
		return "it must not be empty"
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return "it has invalid or invisible characters"
	case strings.TrimSpace(name) != name:
		return "it begins or ends with a space"
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Sprintf("it is longer than the %d characters that a certificate allows", maxName)
	}
	return ""
}

// AddUser issues a client certificate, signed by the authority of a directory, and
// writes it to a new file as a self-contained kubeconfig that only its owner can
// read. If url is empty, the kubeconfig has the server URL of the administrator's.
// AddUser returns when the certificate expires, which is no later than the authority
// does. It fails if the file exists.
func AddUser(dir, file, url string, u User, now time.Time, lifetime time.Duration) (expires time.Time, err error) {
	if err := u.Validate(); err != nil {
		return expires, err
	}
	if url == "" {
		if url, err = serverURL(dir); err != nil {
			return expires, err
		}
	}
	certFile, keyFile := authorityFiles(dir)
	authority, err := load(certFile, keyFile)
	if err != nil {
		return expires, fmt.Errorf("the certificate authority of %s: %w", dir, err)
	}
	if now.After(authority.Cert.NotAfter) {
		return expires, expiredError(certFile)
	}
	issued, err := authority.Issue(clientTemplate(u), now, lifetime)
	if err != nil {
		return expires, err
	}
	cert, key, err := issued.Encode()
	if err != nil {
		return expires, err
	}
	data, err := kubeconfig(u.Name, url, certificates.EncodeCerts(authority.Cert), cert, key)
	if err != nil {
		return expires, err
	}
	if err := writeNew(file, data); err != nil {
		return expires, err
	}
	return issued.Cert.NotAfter, recordIssued(dir, issued.Cert)
}

func clientTemplate(u User) x509.Certificate {
	return x509.Certificate{
		Subject:     pkix.Name{CommonName: u.Name, Organization: u.Groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// serverURL returns the server URL in the administrator's kubeconfig. Only a
// standalone server writes that file, and only such a server accepts users of its
// own authority.
func serverURL(dir string) (string, error) {
	file := filepath.Join(dir, adminKubeconfig)
	config, err := clientcmd.LoadFromFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is not the data directory of a standalone server, or the server has not been started yet: %w", dir, err)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	context := config.Contexts[config.CurrentContext]
	if context == nil || config.Clusters[context.Cluster] == nil {
		return "", fmt.Errorf("%s has no URL of the server", file)
	}
	return config.Clusters[context.Cluster].Server, nil
}

// moveKubeconfigs changes the server URL in the users' kubeconfigs in a directory
// after the server has moved. It leaves kubeconfigs with another URL alone, and files
// that can't be read.
func moveKubeconfigs(dir, from, to string) (moved []string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.kubeconfig"))
	if err != nil {
		return nil, err
	}
	certFile, _ := authorityFiles(dir)
	authority, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		config, err := clientcmd.LoadFromFile(file)
		if err != nil || filepath.Base(file) == adminKubeconfig {
			continue
		}
		changed := false
		for _, cluster := range config.Clusters {
			if cluster.Server == from && bytes.Equal(cluster.CertificateAuthorityData, authority) {
				cluster.Server, changed = to, true
			}
		}
		if !changed {
			continue
		}
		data, err := clientcmd.Write(*config)
		if err != nil {
			return moved, err
		}
		if err := write(file, data, 0o600); err != nil {
			return moved, err
		}
		moved = append(moved, file)
	}
	return moved, nil
}

// writeNew writes a file, and fails if it exists.
func writeNew(file string, data []byte) (err error) {
	opened, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = opened.Write(data)
	if err = errors.Join(err, opened.Sync(), opened.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}
