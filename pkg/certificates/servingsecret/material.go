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
	// The keys of the Secret beside those of its type.
	authoritiesKey   = corev1.ServiceAccountRootCAKey
	authorityKeysKey = "ca.key"

	authorityName = "portolan-serving-ca"
)

// DefaultPolicy is what is used in a cluster. A week is for those who mount the
// Secret's ca.crt and have to be restarted to read it again; the kubelet takes
// minutes, kube-apiserver a moment.
var DefaultPolicy = certificates.Policy{
	Authority:   3 * 365 * 24 * time.Hour,
	Certificate: 90 * 24 * time.Hour,
	Publish:     7 * 24 * time.Hour,
}

// material is what the Secret holds.
type material struct {
	authorities certificates.Bundle
	serving     certificates.Pair
}

// errRubbish is the error of a Secret that has something in it that was not
// written by a Keeper, or no longer is what one wrote.
var errRubbish = errors.New("what it holds can't be used: delete it to have a new one made, or name another with --serving-secret")

// parse reads a Secret. One with nothing in it is the same as none.
func parse(secret *corev1.Secret) (material, error) {
	data := secret.Data
	if !slices.ContainsFunc(slices.Collect(maps.Values(data)), func(value []byte) bool { return len(value) > 0 }) {
		return material{}, nil
	}
	var m material
	if len(data[authorityKeysKey]) == 0 {
		return m, fmt.Errorf("%w: it has no %s, so it isn't Portolan's", errRubbish, authorityKeysKey)
	}
	var err error
	if m.authorities, err = certificates.ParseBundle(data[authoritiesKey], data[authorityKeysKey]); err != nil {
		return material{}, fmt.Errorf("%w: %s and %s: %w", errRubbish, authoritiesKey, authorityKeysKey, err)
	}
	if m.serving, err = certificates.Parse(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey]); err != nil {
		return material{}, fmt.Errorf("%w: %s and %s: %w", errRubbish, corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err)
	}
	return m, nil
}

// data is what the Secret is to hold.
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

// renewed is the material as it should be at a time, with a line for each change
// that was made to it; none means that nothing is due.
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
			// Replicas that don't agree on the names, as during an update, would
			// make it anew in turns.
			wanted = both(wanted, m.serving.Cert)
		}
		signer := policy.Signer(next.authorities, now, published)
		if next.serving, err = signer.Issue(wanted, now, policy.Certificate); err != nil {
			return m, nil, err
		}
		changes = append(changes, fmt.Sprintf("the serving certificate has been made anew (%s), good until %s", due,
			next.serving.Cert.NotAfter.Format(time.RFC3339)))
	}
	return next, changes, nil
}

// both has the names of both certificates.
func both(wanted x509.Certificate, current *x509.Certificate) x509.Certificate {
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

// template is the serving certificate of a Service. The aggregation layer asks
// for <service>.<namespace>.svc.
func template(namespace, service string) x509.Certificate {
	t := x509.Certificate{
		Subject:     pkix.Name{CommonName: service + "." + namespace + ".svc"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificates.SetHosts(&t, service, service+"."+namespace, service+"."+namespace+".svc", "localhost", "127.0.0.1", "::1")
	return t
}
