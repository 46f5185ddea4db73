// Package certificates creates certificate authorities and certificates in memory,
// and decides when to renew them. It is pure: it uses no client and no file, and the
// caller passes in the time.
//
// A Policy holds the rules of renewal, which are the same wherever certificates are
// stored:
//
//   - A certificate is renewed when a third of its lifetime is left.
//   - So is an authority. The new authority is published first: it is added to the
//     bundle that clients trust, beside the old one. It signs only after it has been
//     published for long enough. Then the old authority's key is deleted.
//   - An authority is removed from the bundle when it has expired. It signs nothing
//     that outlives it, so no valid certificate needs it any more.
//
// The certificates are the only state: each contains the time of its creation.
package certificates

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// backdate is subtracted from the start of a certificate's validity, for clocks that
// run behind.
const backdate = 5 * time.Minute

// ErrMismatch means that a certificate and a key don't belong together.
var ErrMismatch = errors.New("the certificate doesn't match the key")

// Pair is a certificate with its key. The key is nil if it isn't known.
type Pair struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

// NewAuthority returns a new self-signed authority.
func NewAuthority(name string, now time.Time, lifetime time.Duration) (Pair, error) {
	template := x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	return sign(template, key, Pair{&template, key})
}

// Issue returns a new certificate that the authority signs. The template has its
// subject, names and usages. The certificate expires no later than the authority.
func (p Pair) Issue(template x509.Certificate, now time.Time, lifetime time.Duration) (Pair, error) {
	template.NotBefore, template.NotAfter = now.Add(-backdate), now.Add(lifetime)
	if template.NotAfter.After(p.Cert.NotAfter) {
		template.NotAfter = p.Cert.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	return sign(template, key, p)
}

func sign(template x509.Certificate, key crypto.Signer, authority Pair) (Pair, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return Pair{}, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, &template, authority.Cert, key.Public(), authority.Key)
	if err != nil {
		return Pair{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return Pair{cert, key}, err
}

// Covers reports whether a certificate has all the names, addresses and usages that
// are wanted. It may have more.
func Covers(cert, wanted *x509.Certificate) bool {
	for _, ip := range wanted.IPAddresses {
		if !slices.ContainsFunc(cert.IPAddresses, ip.Equal) {
			return false
		}
	}
	for _, name := range wanted.DNSNames {
		if !slices.Contains(cert.DNSNames, name) {
			return false
		}
	}
	for _, usage := range wanted.ExtKeyUsage {
		if !slices.Contains(cert.ExtKeyUsage, usage) {
			return false
		}
	}
	return true
}

// SetHosts sets the hosts of a template, which are IP addresses or names.
func SetHosts(template *x509.Certificate, hosts ...string) {
	template.IPAddresses, template.DNSNames = nil, nil
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
}

// EncodeCerts encodes certificates as PEM, one after the other.
func EncodeCerts(certs ...*x509.Certificate) []byte {
	var encoded []byte
	for _, cert := range certs {
		encoded = append(encoded, pem.EncodeToMemory(&pem.Block{Type: certutil.CertificateBlockType, Bytes: cert.Raw})...)
	}
	return encoded
}

// Encode encodes a certificate and its key as PEM.
func (p Pair) Encode() (cert, key []byte, err error) {
	key, err = keyutil.MarshalPrivateKeyToPEM(p.Key)
	return EncodeCerts(p.Cert), key, err
}

// Parse decodes what Encode returned. If there are several certificates, the key
// must belong to the first, otherwise Parse returns ErrMismatch.
func Parse(cert, key []byte) (Pair, error) {
	certs, err := certutil.ParseCertsPEM(cert)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate: %w", err)
	}
	signer, err := ParseKey(key)
	if err != nil {
		return Pair{}, err
	}
	if !matches(certs[0], signer) {
		return Pair{}, ErrMismatch
	}
	return Pair{certs[0], signer}, nil
}

// ParseKey decodes a private key from PEM.
func ParseKey(data []byte) (crypto.Signer, error) {
	key, err := keyutil.ParsePrivateKeyPEM(data)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("key: it can't sign")
	}
	return signer, nil
}

func matches(cert *x509.Certificate, key crypto.Signer) bool {
	public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}
