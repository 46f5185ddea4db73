package etcdsecrets

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

// The names of the Secrets. Each Secret has ca.crt. The authority's has its key as
// ca.key; the others have tls.crt and tls.key.
const (
	AuthoritySecret = "portolan-etcd-ca"
	ServerSecret    = "portolan-etcd-server"
	PeerSecret      = "portolan-etcd-peer"
	ClientSecret    = "portolan-etcd-client"
)

const (
	// service is the headless Service of the members.
	service = "portolan-etcd"

	authoritiesKey   = "ca.crt"
	authorityKeysKey = "ca.key"

	year = 365 * 24 * time.Hour
	// attempts is how often Ensure tries if its writes conflict with others.
	attempts = 5
)

// DefaultPolicy is the policy that the package comment describes.
var DefaultPolicy = certificates.Policy{Authority: 10 * year, Certificate: year, Publish: year}

// Config configures Ensure.
type Config struct {
	Client kubernetes.Interface
	// Namespace is the namespace of etcd and of the Secrets.
	Namespace string
	// ClusterDomain is the cluster's DNS domain, such as cluster.local.
	ClusterDomain string
	// Hosts are additional names and IP addresses of the members.
	Hosts  []string
	Policy certificates.Policy
	Now    func() time.Time
	// Progress receives one line for each Secret.
	Progress io.Writer
}

// leaf is a Secret with a certificate that is not an authority's.
type leaf struct {
	secret   string
	template x509.Certificate
}

// leaves returns the certificates that the authority signs.
func (c Config) leaves() []leaf {
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	member := x509.Certificate{Subject: pkix.Name{CommonName: service}, ExtKeyUsage: both}
	inNamespace := service + "." + c.Namespace
	certificates.SetHosts(&member, append([]string{
		service, inNamespace, inNamespace + ".svc", "*." + inNamespace + ".svc",
		inNamespace + ".svc." + c.ClusterDomain, "*." + inNamespace + ".svc." + c.ClusterDomain,
		"localhost", "127.0.0.1", "::1",
	}, c.Hosts...)...)
	// The client certificate has no hosts, so it can't be used as a member's.
	client := x509.Certificate{Subject: pkix.Name{CommonName: "portolan"}, ExtKeyUsage: both[1:]}
	return []leaf{{ServerSecret, member}, {PeerSecret, member}, {ClientSecret, client}}
}

// Ensure creates missing Secrets and renews those that are due. It fails if a Secret
// has invalid contents or belongs to cert-manager, and doesn't change that Secret.
func Ensure(ctx context.Context, config Config) error {
	var err error
	for range attempts {
		if err = config.ensure(ctx); !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return err
}

func (c Config) ensure(ctx context.Context) error {
	secrets := map[string]*corev1.Secret{}
	for _, name := range []string{AuthoritySecret, ServerSecret, PeerSecret, ClientSecret} {
		secret, err := c.Client.CoreV1().Secrets(c.Namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return err
		}
		for annotation := range secret.Annotations {
			if strings.HasPrefix(annotation, "cert-manager.io/") {
				return fmt.Errorf("secret %s/%s belongs to cert-manager, which renews it", c.Namespace, name)
			}
		}
		secrets[name] = secret
	}
	authorities, err := c.ensureAuthorities(ctx, secrets)
	if err != nil {
		return err
	}
	for _, leaf := range c.leaves() {
		if err := c.ensureLeaf(ctx, secrets[leaf.secret], leaf, authorities); err != nil {
			return err
		}
	}
	c.remind(authorities)
	return nil
}

// ensureAuthorities renews the authorities and stores them before they sign
// anything.
func (c Config) ensureAuthorities(ctx context.Context, secrets map[string]*corev1.Secret) (certificates.Bundle, error) {
	current, err := c.authorities(secrets)
	if err != nil {
		return nil, err
	}
	next, changes, err := c.Policy.Authorities(current, service+"-ca", c.Now(), certificates.AssumePublished)
	if err != nil || len(changes) == 0 {
		c.report(AuthoritySecret, "left as it is", err)
		return next, err
	}
	keys, err := next.Keys()
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{authoritiesKey: next.Certs(), authorityKeysKey: keys}
	err = c.write(ctx, secrets[AuthoritySecret], AuthoritySecret, corev1.SecretTypeOpaque, data)
	c.report(AuthoritySecret, strings.Join(changes, "; "), err)
	return next, err
}

// authorities returns the trusted authorities. If their Secret is gone, it returns
// those in the ca.crt of the other Secrets, because running members trust no others.
func (c Config) authorities(secrets map[string]*corev1.Secret) (certificates.Bundle, error) {
	if secret := secrets[AuthoritySecret]; secret != nil {
		authorities, err := certificates.ParseBundle(secret.Data[authoritiesKey], secret.Data[authorityKeysKey])
		if err != nil {
			return nil, c.unusable(AuthoritySecret, err)
		}
		return authorities, nil
	}
	var known certificates.Bundle
	for _, leaf := range c.leaves() {
		if secret := secrets[leaf.secret]; secret != nil {
			authorities, err := certificates.ParseCerts(secret.Data[authoritiesKey])
			if err != nil {
				return nil, c.unusable(leaf.secret, err)
			}
			known = known.With(authorities)
		}
	}
	return known, nil
}

func (c Config) ensureLeaf(ctx context.Context, secret *corev1.Secret, leaf leaf, authorities certificates.Bundle) error {
	var current certificates.Pair
	if secret != nil {
		var err error
		if current, err = certificates.Parse(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]); err != nil {
			return c.unusable(leaf.secret, err)
		}
	}
	now := c.Now()
	due := c.Policy.Due(current, authorities, &leaf.template, now)
	done := "renewed because " + due
	switch {
	case secret == nil:
		done = "created"
	case due != "":
	case !bytes.Equal(secret.Data[authoritiesKey], authorities.Certs()):
		done = "ca.crt updated"
	default:
		c.report(leaf.secret, "left as it is, valid until "+current.Cert.NotAfter.Format(time.RFC3339), nil)
		return nil
	}
	next := current
	if due != "" {
		var err error
		signer := c.Policy.Signer(authorities, now, certificates.AssumePublished)
		if next, err = signer.Issue(leaf.template, now, c.Policy.Certificate); err != nil {
			return err
		}
	}
	cert, key, err := next.Encode()
	if err != nil {
		return err
	}
	data := map[string][]byte{authoritiesKey: authorities.Certs(), corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key}
	err = c.write(ctx, secret, leaf.secret, corev1.SecretTypeTLS, data)
	c.report(leaf.secret, done+", valid until "+next.Cert.NotAfter.Format(time.RFC3339), err)
	return err
}

// write creates a Secret if read is nil. Otherwise it updates read, which fails if
// the Secret has changed since.
func (c Config) write(ctx context.Context, read *corev1.Secret, name string, kind corev1.SecretType, data map[string][]byte) error {
	secrets := c.Client.CoreV1().Secrets(c.Namespace)
	if read == nil {
		_, err := secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: name, Labels: map[string]string{
				"app.kubernetes.io/name": "portolan", "app.kubernetes.io/component": "etcd",
			}},
			Type: kind,
			Data: data,
		}, metav1.CreateOptions{})
		return err
	}
	changed := read.DeepCopy()
	changed.Data = data
	_, err := secrets.Update(ctx, changed, metav1.UpdateOptions{})
	return err
}

// remind prints until when to restart etcd and Portolan, if a new authority doesn't
// sign yet.
func (c Config) remind(authorities certificates.Bundle) {
	if len(authorities) == 1 {
		return
	}
	newest := authorities[len(authorities)-1].Cert
	if signs := c.Policy.SignsFrom(newest); c.Now().Before(signs) {
		fmt.Fprintf(c.Progress, "Restart etcd and Portolan, one Pod after the other, before %s: ca.crt has a new authority, which signs from then on.\n",
			signs.Format(time.DateOnly))
	}
}

// report prints what was done with a Secret, unless it failed.
func (c Config) report(secret, done string, err error) {
	if err == nil {
		fmt.Fprintf(c.Progress, "secret %s/%s: %s\n", c.Namespace, secret, done)
	}
}

func (c Config) unusable(secret string, err error) error {
	return fmt.Errorf("secret %s/%s can't be used: delete it to have it created again: %w", c.Namespace, secret, err)
}
