package certificates

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// Bundle holds the trusted authorities, oldest first. An authority without a key no
// longer signs.
type Bundle []Pair

// Certs returns the authorities' certificates as PEM, for clients.
func (b Bundle) Certs() []byte {
	certs := make([]*x509.Certificate, len(b))
	for i, authority := range b {
		certs[i] = authority.Cert
	}
	return EncodeCerts(certs...)
}

// Keys returns the keys of the authorities that may sign, as PEM.
func (b Bundle) Keys() ([]byte, error) {
	var encoded []byte
	for _, authority := range b {
		if authority.Key == nil {
			continue
		}
		key, err := keyutil.MarshalPrivateKeyToPEM(authority.Key)
		if err != nil {
			return nil, err
		}
		encoded = append(encoded, key...)
	}
	return encoded, nil
}

// ParseBundle decodes what Certs and Keys returned. It returns ErrMismatch if a key
// belongs to none of the authorities.
func ParseBundle(certs, keys []byte) (Bundle, error) {
	b, err := ParseCerts(certs)
	if err != nil {
		return nil, err
	}
	signers, err := parseKeys(keys)
	if err != nil {
		return nil, err
	}
	for _, key := range signers {
		i := slices.IndexFunc(b, func(p Pair) bool { return matches(p.Cert, key) })
		if i < 0 {
			return nil, ErrMismatch
		}
		b[i].Key = key
	}
	return b, nil
}

// ParseCerts decodes what Certs returned. The authorities have no keys.
func ParseCerts(certs []byte) (Bundle, error) {
	parsed, err := certutil.ParseCertsPEM(certs)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	var b Bundle
	for _, cert := range parsed {
		if !cert.IsCA {
			return nil, fmt.Errorf("the certificate of %q is not an authority's", cert.Subject.CommonName)
		}
		b = b.With(Bundle{{Cert: cert}})
	}
	return b, nil
}

func parseKeys(data []byte) ([]crypto.Signer, error) {
	var keys []crypto.Signer
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		key, err := ParseKey(pem.EncodeToMemory(block))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("key: there is none")
	}
	return keys, nil
}

// Contains reports whether an authority is in the bundle.
func (b Bundle) Contains(authority *x509.Certificate) bool {
	return slices.ContainsFunc(b, func(p Pair) bool { return p.Cert.Equal(authority) })
}

// With returns the union of two bundles.
func (b Bundle) With(others Bundle) Bundle {
	all := slices.Clone(b)
	for _, authority := range others {
		if !all.Contains(authority.Cert) {
			all = append(all, authority)
		}
	}
	all.sort()
	return all
}

// Issuer returns the authority that signed a certificate, or nil if none did.
func (b Bundle) Issuer(cert *x509.Certificate) *x509.Certificate {
	for _, authority := range b {
		if cert.CheckSignatureFrom(authority.Cert) == nil {
			return authority.Cert
		}
	}
	return nil
}

func (b Bundle) sort() {
	slices.SortStableFunc(b, func(x, y Pair) int { return x.Cert.NotBefore.Compare(y.Cert.NotBefore) })
}
