// Package certificates makes certificate authorities and certificates in memory,
// and decides when which of them is due for renewal. It is pure: no client, no
// file, and whoever calls says what time it is.
//
// A Policy has the rules of renewal. They hold wherever certificates are kept:
//
//   - A certificate is made anew when a third of its lifetime is left.
//   - So is an authority. The new one is published first: it is put beside the
//     old one into the bundle that clients trust. It signs only once it has been
//     there for long enough, and the old one's key is thrown away then.
//   - An authority leaves the bundle when it has expired. It signs nothing that
//     outlives it, so nothing that was good until then needs it.
//
// No state is kept beside the certificates: when one was made is in it.
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

// backdate allows for clocks that run behind.
const backdate = 5 * time.Minute

// ErrMismatch is the error of a certificate and a key that don't belong together.
var ErrMismatch = errors.New("the certificate is not the key's")

// Pair is a certificate with its key. The key is nil where it isn't known.
type Pair struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

// NewAuthority makes an authority that signs itself.
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

// Issue makes a certificate that the authority signs. The template has the
// subject, names and usages. It doesn't outlive the authority.
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

// Covers says whether a certificate is good for all that is asked of it: names,
// addresses and usages. It may be good for more.
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

// SetHosts makes hosts, which are IP addresses or names, those of a template.
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

// EncodeCerts writes certificates as PEM, one after the other.
func EncodeCerts(certs ...*x509.Certificate) []byte {
	var encoded []byte
	for _, cert := range certs {
		encoded = append(encoded, pem.EncodeToMemory(&pem.Block{Type: certutil.CertificateBlockType, Bytes: cert.Raw})...)
	}
	return encoded
}

// Encode writes a certificate and its key as PEM.
func (p Pair) Encode() (cert, key []byte, err error) {
	key, err = keyutil.MarshalPrivateKeyToPEM(p.Key)
	return EncodeCerts(p.Cert), key, err
}

// Parse reads what Encode wrote. Of several certificates the first is the
// key's. The error is ErrMismatch if it isn't.
func Parse(cert, key []byte) (Pair, error) {
	certs, err := certutil.ParseCertsPEM(cert)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate: %w", err)
	}
	signer, err := parseKey(key)
	if err != nil {
		return Pair{}, err
	}
	if !belong(certs[0], signer) {
		return Pair{}, ErrMismatch
	}
	return Pair{certs[0], signer}, nil
}

func parseKey(data []byte) (crypto.Signer, error) {
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

func belong(cert *x509.Certificate, key crypto.Signer) bool {
	public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}
