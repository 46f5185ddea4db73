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

// maxName is for how long a common name or an organization may be (RFC 5280,
// appendix A.1, ub-common-name and ub-organization-name), in characters.
const maxName = 64

// User is somebody whom a client certificate names, as k8s.io/apiserver reads
// it: the common name is the user, the organizations are the groups.
type User struct {
	Name   string
	Groups []string
}

// Validate says everything that is wrong with the names.
func (u User) Validate() error {
	var errs []error
	check := func(what, name string, reserved ...string) {
		if problem := nameProblem(name); problem != "" {
			errs = append(errs, fmt.Errorf("%s %q: %s", what, name, problem))
		} else if slices.Contains(reserved, name) {
			errs = append(errs, fmt.Errorf("%s %q: the server says itself who that is", what, name))
		}
	}
	check("user", u.Name, user.Anonymous)
	for i, group := range u.Groups {
		check("group", group, user.AllAuthenticated, user.AllUnauthenticated)
		if slices.Contains(u.Groups[:i], group) {
			errs = append(errs, fmt.Errorf("group %q: it is named twice", group))
		}
	}
	return errors.Join(errs...)
}

func nameProblem(name string) string {
	switch {
	case name == "":
		return "it must not be empty"
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return "it has characters that can't be seen"
	case strings.TrimSpace(name) != name:
		return "it begins or ends with a space"
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Sprintf("it is longer than the %d characters that a certificate has for it", maxName)
	}
	return ""
}

// AddUser makes a client certificate that the authority of a directory signs,
// and writes it to a new file as a kubeconfig that holds all it needs, readable
// by its owner only. The server is that of the administrator's kubeconfig unless
// a URL is given. It says when the certificate expires, which is never later than
// its authority does. An existing file is an error, and stays.
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
	made, err := authority.Issue(clientTemplate(u), now, lifetime)
	if err != nil {
		return expires, err
	}
	cert, key, err := made.Encode()
	if err != nil {
		return expires, err
	}
	data, err := kubeconfig(u.Name, url, certificates.EncodeCerts(authority.Cert), cert, key)
	if err != nil {
		return expires, err
	}
	return made.Cert.NotAfter, writeNew(file, data)
}

func clientTemplate(u User) x509.Certificate {
	return x509.Certificate{
		Subject:     pkix.Name{CommonName: u.Name, Organization: u.Groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// serverURL is where the administrator's kubeconfig leads to. It is there only if
// a server has run without a cluster: another doesn't know the users of its own
// authority.
func serverURL(dir string) (string, error) {
	file := filepath.Join(dir, adminKubeconfig)
	config, err := clientcmd.LoadFromFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is not the data directory of a server without a cluster, or it has not been started yet: %w", dir, err)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	context := config.Contexts[config.CurrentContext]
	if context == nil || config.Clusters[context.Cluster] == nil {
		return "", fmt.Errorf("%s doesn't say where the server is", file)
	}
	return config.Clusters[context.Cluster].Server, nil
}

// moveUsers has the kubeconfigs of users in a directory lead to the server after it
// has moved. Those that were made for another URL are left alone, and so are files
// that can't be read.
func moveUsers(dir, from, to string) (moved []string, err error) {
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

// writeNew writes a file that must not be there.
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
