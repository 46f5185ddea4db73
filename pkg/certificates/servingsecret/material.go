package servingsecret

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

const (
	// authoritiesKey and authorityKeysKey are keys of the Secret, beside tls.crt and
	// tls.key.
	authoritiesKey   = corev1.ServiceAccountRootCAKey
	authorityKeysKey = "ca.key"

	authorityName = "portolan-serving-ca"
)

// DefaultPolicy is the policy for a cluster. It publishes an authority for a week,
// because Pods that mount the Secret's ca.crt may have to be restarted to read it
// again. The kubelet needs minutes, and kube-apiserver a moment.
var DefaultPolicy = certificates.Policy{
	Authority:   3 * 365 * 24 * time.Hour,
	Certificate: 90 * 24 * time.Hour,
	Publish:     7 * 24 * time.Hour,
}

// material holds the contents of the Secret.
type material struct {
	authorities certificates.Bundle
	serving     certificates.Pair
}

// errInvalidSecret means that no Keeper wrote the Secret's contents, or that they
// were changed later.
var errInvalidSecret = errors.New("what it holds can't be used: delete it to have a new one made, or name another with --serving-secret")

// parse reads a Secret. It treats a Secret without contents as missing.
func parse(secret *corev1.Secret) (material, error) {
	data := secret.Data
	if !slices.ContainsFunc(slices.Collect(maps.Values(data)), func(value []byte) bool { return len(value) > 0 }) {
		return material{}, nil
	}
	var m material
	if len(data[authorityKeysKey]) == 0 {
		return m, fmt.Errorf("%w: it has no %s, so it isn't Portolan's", errInvalidSecret, authorityKeysKey)
	}
	var err error
	if m.authorities, err = certificates.ParseBundle(data[authoritiesKey], data[authorityKeysKey]); err != nil {
		return material{}, fmt.Errorf("%w: %s and %s: %w", errInvalidSecret, authoritiesKey, authorityKeysKey, err)
	}
	if m.serving, err = certificates.Parse(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey]); err != nil {
		return material{}, fmt.Errorf("%w: %s and %s: %w", errInvalidSecret, corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err)
	}
	return m, nil
}

// data returns the Secret's data.
func (m material) data() (map[string][]byte, error) {
	cert, key, err := m.serving.Encode()
	if err != nil {
		return nil, err
	}
	keys, err := m.authorities.Keys()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		corev1.TLSCertKey:       cert,
		corev1.TLSPrivateKeyKey: key,
		authoritiesKey:          m.authorities.Certs(),
		authorityKeysKey:        keys,
	}, nil
}

// renewed returns the material as it should be at a time, with a line of text for each
// change. If nothing is due, there are no changes.
func (m material) renewed(policy certificates.Policy, wanted x509.Certificate, now time.Time, published certificates.Published) (material,
	[]string, error) {
	next := material{serving: m.serving}
	var changes []string
	var err error
	if next.authorities, changes, err = policy.Authorities(m.authorities, authorityName, now, published); err != nil {
		return m, nil, err
	}
	if due := policy.Due(m.serving, next.authorities, &wanted, now); due != "" {
		if m.serving.Cert != nil && !certificates.Covers(m.serving.Cert, &wanted) {
			// Replicas that want different names, as during an update, would otherwise
			// replace each other's certificates in turn.
			wanted = withHosts(wanted, m.serving.Cert)
		}
		signer := policy.Signer(next.authorities, now, published)
		if next.serving, err = signer.Issue(wanted, now, policy.Certificate); err != nil {
			return m, nil, err
		}
		changes = append(changes, fmt.Sprintf("serving certificate issued because %s, valid until %s", due,
			next.serving.Cert.NotAfter.Format(time.RFC3339)))
	}
	return next, changes, nil
}

// withHosts adds the hosts of the current certificate to the wanted one.
func withHosts(wanted x509.Certificate, current *x509.Certificate) x509.Certificate {
	var hosts []string
	for _, cert := range []*x509.Certificate{&wanted, current} {
		hosts = append(hosts, cert.DNSNames...)
		for _, ip := range cert.IPAddresses {
			hosts = append(hosts, ip.String())
		}
	}
	slices.Sort(hosts)
	certificates.SetHosts(&wanted, slices.Compact(hosts)...)
	return wanted
}

// template returns the serving certificate of a Service. The aggregation layer
// verifies the name <service>.<namespace>.svc.
func template(namespace, service string) x509.Certificate {
	t := x509.Certificate{
		Subject:     pkix.Name{CommonName: service + "." + namespace + ".svc"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificates.SetHosts(&t, service, service+"."+namespace, service+"."+namespace+".svc", "localhost", "127.0.0.1", "::1")
	return t
}
