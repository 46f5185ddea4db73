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

// The Secrets. Each has ca.crt; the authority's has its key as ca.key, the
// others have tls.crt and tls.key.
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
	// attempts is how often it begins anew because somebody else has written.
	attempts = 5
)

// DefaultPolicy is the package comment's.
var DefaultPolicy = certificates.Policy{Authority: 10 * year, Certificate: year, Publish: year}

// Config says what to make, and where.
type Config struct {
	Client kubernetes.Interface
	// Namespace is where etcd is and where the Secrets are.
	Namespace string
	// ClusterDomain is what the names of the cluster end in, such as
	// cluster.local.
	ClusterDomain string
	// Hosts are names and IP addresses of members besides those they have in the
	// cluster.
	Hosts  []string
	Policy certificates.Policy
	Now    func() time.Time
	// Progress is told, a line each, what was made and what was left.
	Progress io.Writer
}

// leaf is one of the Secrets with a certificate.
type leaf struct {
	secret   string
	template x509.Certificate
}

// leaves are the certificates that are wanted.
func (c Config) leaves() []leaf {
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	member := x509.Certificate{Subject: pkix.Name{CommonName: service}, ExtKeyUsage: both}
	inNamespace := service + "." + c.Namespace
	certificates.SetHosts(&member, append([]string{
		service, inNamespace, inNamespace + ".svc", "*." + inNamespace + ".svc",
		inNamespace + ".svc." + c.ClusterDomain, "*." + inNamespace + ".svc." + c.ClusterDomain,
		"localhost", "127.0.0.1", "::1",
	}, c.Hosts...)...)
	// A client's has no names, which somebody could take for a member's.
	client := x509.Certificate{Subject: pkix.Name{CommonName: "portolan"}, ExtKeyUsage: both[1:]}
	return []leaf{{ServerSecret, member}, {PeerSecret, member}, {ClientSecret, client}}
}

// Ensure makes what is missing and renews what is due. An error that a Secret
// can't be used leaves that as it is.
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
				return fmt.Errorf("secret %s/%s is cert-manager's, which renews it", c.Namespace, name)
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

// ensureAuthorities writes the authorities before anything is signed by them.
func (c Config) ensureAuthorities(ctx context.Context, secrets map[string]*corev1.Secret) (certificates.Bundle, error) {
	current, err := c.authorities(secrets)
	if err != nil {
		return nil, err
	}
	next, changes, err := c.Policy.Authorities(current, service+"-ca", c.Now(), certificates.Assumed)
	if err != nil || len(changes) == 0 {
		c.tell(AuthoritySecret, "left as it is", err)
		return next, err
	}
	keys, err := next.Keys()
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{authoritiesKey: next.Certs(), authorityKeysKey: keys}
	err = c.write(ctx, secrets[AuthoritySecret], AuthoritySecret, corev1.SecretTypeOpaque, data)
	c.tell(AuthoritySecret, strings.Join(changes, "; "), err)
	return next, err
}

// authorities are those that are trusted. Where their Secret is gone, whoever
// was trusted by the others is so until he expires: members that run know nobody
// else.
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
	did := "made anew, since " + due
	switch {
	case secret == nil:
		did = "made"
	case due != "":
	case !bytes.Equal(secret.Data[authoritiesKey], authorities.Certs()):
		did = "given the authorities as they are now"
	default:
		c.tell(leaf.secret, "left as it is, good until "+current.Cert.NotAfter.Format(time.RFC3339), nil)
		return nil
	}
	next := current
	if due != "" {
		var err error
		if next, err = c.Policy.Signer(authorities, now, certificates.Assumed).Issue(leaf.template, now, c.Policy.Certificate); err != nil {
			return err
		}
	}
	cert, key, err := next.Encode()
	if err != nil {
		return err
	}
	data := map[string][]byte{authoritiesKey: authorities.Certs(), corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key}
	err = c.write(ctx, secret, leaf.secret, corev1.SecretTypeTLS, data)
	c.tell(leaf.secret, did+", good until "+next.Cert.NotAfter.Format(time.RFC3339), err)
	return err
}

// write writes a Secret: a new one, or one that is as it was read.
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

// remind says by when whom to restart, while an authority waits to sign.
func (c Config) remind(authorities certificates.Bundle) {
	if len(authorities) == 1 {
		return
	}
	newest := authorities[len(authorities)-1].Cert
	if signs := c.Policy.SignsFrom(newest); c.Now().Before(signs) {
		fmt.Fprintf(c.Progress, "Restart etcd and Portolan, one Pod after the other, before %s: ca.crt has a new authority, which signs from then on.\n", signs.Format(time.DateOnly))
	}
}

func (c Config) tell(secret, did string, err error) {
	if err == nil {
		fmt.Fprintf(c.Progress, "secret %s/%s: %s\n", c.Namespace, secret, did)
	}
}

func (c Config) unusable(secret string, err error) error {
	return fmt.Errorf("secret %s/%s can't be used: delete it to have it made anew: %w", c.Namespace, secret, err)
}
