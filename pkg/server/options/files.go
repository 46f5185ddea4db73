package options

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/tools/clientcmd"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// namedFile is a file that a flag names.
type namedFile struct {
	flag, path string
	// check validates the contents. It is nil if the code that reads the file does that.
	check func(path string) error
}

// files returns all files that flags name and the server reads.
func (o *Options) files() []namedFile {
	transport := &o.Etcd.StorageConfig.Transport
	files := []namedFile{
		{"tls-cert-file", o.SecureServing.ServerCert.CertKey.CertFile, nil},
		{"tls-private-key-file", o.SecureServing.ServerCert.CertKey.KeyFile, nil},
		{"token-auth-file", o.Users.TokenAuthFile, nil},
		{"authentication-config", o.Users.AuthenticationConfig, nil},
		{"authorization-config", o.Users.AuthorizationConfig, nil},
		{"client-ca-file", o.Authentication.ClientCert.ClientCA, checkAuthority},
		{"requestheader-client-ca-file", o.Authentication.RequestHeader.ClientCAFile, checkAuthority},
		{"authentication-kubeconfig", o.Authentication.RemoteKubeConfigFile, checkKubeconfig},
		{"authorization-kubeconfig", o.Authorization.RemoteKubeConfigFile, checkKubeconfig},
		{"etcd-cafile", transport.TrustedCAFile, checkAuthority},
		{"etcd-certfile", transport.CertFile, nil},
		{"etcd-keyfile", transport.KeyFile, nil},
		{"encryption-provider-config", o.Etcd.EncryptionProviderConfigFilepath, nil},
		{"admission-control-config-file", o.Admission.ConfigFile, nil},
		{"proxy-client-cert-file", o.Gateway.ProxyClientCertFile, nil},
		{"proxy-client-key-file", o.Gateway.ProxyClientKeyFile, nil},
		{"kubeconfig", o.CoreAPI.CoreAPIKubeconfigPath, checkKubeconfig},
		{"audit-policy-file", o.Audit.PolicyFile, nil},
		{"audit-webhook-config-file", o.Audit.WebhookOptions.ConfigFile, checkKubeconfig},
		{"tracing-config-file", o.Tracing.ConfigFile, nil},
	}
	for _, file := range o.Users.ServiceAccountKeys {
		files = append(files, namedFile{serviceAccountKeyFlag, file, checkKeys})
	}
	return files
}

// CheckFiles returns all errors in the files and the directory that flags name.
func (o *Options) CheckFiles() error {
	var errs []error
	for _, file := range o.files() {
		if file.path == "" {
			continue
		}
		if err := file.problem(); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", file.flag, err))
		}
	}
	if info, err := os.Stat(o.DataDir); err == nil && !info.IsDir() {
		errs = append(errs, fmt.Errorf("--data-dir: %s is a file, not a directory", o.DataDir))
	}
	if len(errs) > 0 {
		return utilerrors.NewAggregate(errs)
	}
	for _, pair := range o.pairs() {
		if _, err := tls.LoadX509KeyPair(pair.cert, pair.key); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %s and %s are not a certificate and its key in PEM: %w", pair.certFlag, pair.cert, pair.key, err))
		}
	}
	return utilerrors.NewAggregate(errs)
}

// pair names a certificate and its key, and the flags for them.
type pair struct{ certFlag, cert, keyFlag, key string }

func (o *Options) pairs() []pair {
	serving, transport := o.SecureServing.ServerCert.CertKey, o.Etcd.StorageConfig.Transport
	all := []pair{
		{"tls-cert-file", serving.CertFile, "tls-private-key-file", serving.KeyFile},
		{"etcd-certfile", transport.CertFile, "etcd-keyfile", transport.KeyFile},
		{"proxy-client-cert-file", o.Gateway.ProxyClientCertFile, "proxy-client-key-file", o.Gateway.ProxyClientKeyFile},
	}
	for _, named := range o.SecureServing.SNICertKeys {
		all = append(all, pair{"tls-sni-cert-key", named.CertFile, "tls-sni-cert-key", named.KeyFile})
	}
	return slices.DeleteFunc(all, func(p pair) bool { return p.cert == "" && p.key == "" })
}

// pairErrors returns an error for each certificate without a key, and each key without
// a certificate.
func (o *Options) pairErrors() []error {
	var errs []error
	for _, pair := range o.pairs() {
		switch {
		case pair.key == "":
			errs = append(errs, fmt.Errorf("--%s has no key: name its file with --%s", pair.certFlag, pair.keyFlag))
		case pair.cert == "":
			errs = append(errs, fmt.Errorf("--%s has no certificate: name its file with --%s", pair.keyFlag, pair.certFlag))
		}
	}
	return errs
}

func (f namedFile) problem() error {
	opened, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no file %s", f.path)
	}
	if err != nil {
		return err
	}
	info, err := opened.Stat()
	if err := errors.Join(err, opened.Close()); err != nil {
		return err
	}
	switch {
	case info.IsDir():
		return fmt.Errorf("%s is a directory, not a file", f.path)
	case f.check == nil:
		return nil
	}
	return f.check(f.path)
}

func checkAuthority(path string) error {
	if _, err := certutil.NewPool(path); err != nil {
		return fmt.Errorf("%s has no certificate in PEM: %w", path, err)
	}
	return nil
}

func checkKubeconfig(path string) error {
	if _, err := clientcmd.LoadFromFile(path); err != nil {
		return fmt.Errorf("%s is not a kubeconfig: %w", path, err)
	}
	return nil
}

func checkKeys(path string) error {
	if _, err := keyutil.PublicKeysFromFile(path); err != nil {
		return fmt.Errorf("%s has no keys in PEM: %w", path, err)
	}
	return nil
}
