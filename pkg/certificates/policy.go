package certificates

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// Policy determines how long certificates are valid and when they are renewed.
type Policy struct {
	// Authority and Certificate are the lifetimes of new authorities and
	// certificates.
	Authority, Certificate time.Duration
	// Publish is how long a new authority must have been in the bundle before it
	// signs. It must exceed the time until every client has the new bundle.
	Publish time.Duration
}

// Published reports whether the verifiers are known to trust an authority.
type Published func(*x509.Certificate) bool

// AssumePublished always reports true. Use it where this can't be checked, so that
// only Policy.Publish counts.
func AssumePublished(*x509.Certificate) bool { return true }

// RenewAt returns the time at which a third of a certificate's lifetime is left.
func RenewAt(cert *x509.Certificate) time.Time {
	return cert.NotAfter.Add(-cert.NotAfter.Sub(cert.NotBefore) / 3)
}

// SignsFrom returns the time from which an authority may sign if it was published
// when it was created.
func (p Policy) SignsFrom(authority *x509.Certificate) time.Time {
	return authority.NotBefore.Add(backdate + p.Publish)
}

// Authorities returns the renewed bundle and a line of text for each change. If there
// are no changes, the bundle is the given one. The common name of a new authority
// consists of the given name and its time of creation.
func (p Policy) Authorities(b Bundle, name string, now time.Time, published Published) (next Bundle, changes []string, err error) {
	for _, authority := range b {
		if now.After(authority.Cert.NotAfter) {
			changes = append(changes, fmt.Sprintf("authority %s has expired and is no longer trusted", authority.Cert.Subject.CommonName))
			continue
		}
		next = append(next, authority)
	}
	next.sort()

	newest := -1
	for i, authority := range next {
		if authority.Key != nil {
			newest = i
		}
	}
	if newest < 0 || !now.Before(RenewAt(next[newest].Cert)) {
		created, err := NewAuthority(fmt.Sprintf("%s@%d", name, now.Unix()), now, p.Authority)
		if err != nil {
			return nil, nil, err
		}
		next = append(next, created)
		changes = append(changes, fmt.Sprintf("authority %s created, valid until %s", created.Cert.Subject.CommonName,
			created.Cert.NotAfter.Format(time.RFC3339)))
	}

	signer := p.signer(next, now, published)
	for i, authority := range next[:signer] {
		if authority.Key != nil {
			next[i].Key = nil
			changes = append(changes, fmt.Sprintf("authority %s no longer signs, %s does; it is trusted until it expires",
				authority.Cert.Subject.CommonName, next[signer].Cert.Subject.CommonName))
		}
	}
	return next, changes, nil
}

// Signer returns the authority of a bundle that signs.
func (p Policy) Signer(b Bundle, now time.Time, published Published) Pair {
	return b[p.signer(b, now, published)]
}

// signer returns the index of the newest authority that has been published for long
// enough. If there is none, it returns the oldest that has a key: more verifiers
// know it than any newer one.
func (p Policy) signer(b Bundle, now time.Time, published Published) int {
	for i, authority := range slices.Backward(b) {
		if authority.Key != nil && !now.Before(p.SignsFrom(authority.Cert)) && published(authority.Cert) {
			return i
		}
	}
	return slices.IndexFunc(b, func(p Pair) bool { return p.Key != nil })
}

// Due returns why a certificate must be renewed, or "" if it needn't be.
func (p Policy) Due(current Pair, b Bundle, wanted *x509.Certificate, now time.Time) string {
	switch cert := current.Cert; {
	case cert == nil:
		return "there is none"
	case now.After(cert.NotAfter):
		return "it has expired"
	case !now.Before(RenewAt(cert)):
		return "it expires at " + cert.NotAfter.Format(time.RFC3339)
	case b.Issuer(cert) == nil:
		return "no authority of the bundle has signed it"
	case !Covers(cert, wanted):
		return "it lacks names or usages"
	}
	return ""
}
