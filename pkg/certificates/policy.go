package certificates

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// Policy says how long certificates are good for, and when new ones are made.
type Policy struct {
	// Authority and Certificate are for how long what is made is good.
	Authority, Certificate time.Duration
	// Publish is for how long a new authority has to have been in the bundle
	// before it signs: longer than it takes until everybody has the new bundle.
	Publish time.Duration
}

// Published says whether those who verify are known to trust an authority.
type Published func(*x509.Certificate) bool

// Assumed is for where nobody can be asked: time alone tells.
func Assumed(*x509.Certificate) bool { return true }

// RenewAt is when a certificate is due: when a third of its lifetime is left.
func RenewAt(cert *x509.Certificate) time.Time {
	return cert.NotAfter.Add(-cert.NotAfter.Sub(cert.NotBefore) / 3)
}

// SignsFrom is when an authority has been published for long enough, if it was
// when it was made.
func (p Policy) SignsFrom(authority *x509.Certificate) time.Time {
	return authority.NotBefore.Add(backdate + p.Publish)
}

// Authorities is the bundle as it should be, with a line for each change that
// was made; none means that it is the given one. New authorities have the given
// name and when they were made as their common name.
func (p Policy) Authorities(b Bundle, name string, now time.Time, published Published) (next Bundle, changes []string, err error) {
	for _, authority := range b {
		if now.After(authority.Cert.NotAfter) {
			changes = append(changes, fmt.Sprintf("authority %s has expired and is trusted no more", authority.Cert.Subject.CommonName))
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
		made, err := NewAuthority(fmt.Sprintf("%s@%d", name, now.Unix()), now, p.Authority)
		if err != nil {
			return nil, nil, err
		}
		next = append(next, made)
		changes = append(changes, fmt.Sprintf("authority %s has been made, good until %s", made.Cert.Subject.CommonName,
			made.Cert.NotAfter.Format(time.RFC3339)))
	}

	signer := p.signer(next, now, published)
	for i, authority := range next[:signer] {
		if authority.Key != nil {
			next[i].Key = nil
			changes = append(changes, fmt.Sprintf("authority %s is trusted until it expires, but %s signs in its place",
				authority.Cert.Subject.CommonName, next[signer].Cert.Subject.CommonName))
		}
	}
	return next, changes, nil
}

// Signer is the authority of a bundle that signs.
func (p Policy) Signer(b Bundle, now time.Time, published Published) Pair {
	return b[p.signer(b, now, published)]
}

// signer is the newest that has been published for long enough or, where there
// is none, the oldest: it is the only one, or known better than the others.
func (p Policy) signer(b Bundle, now time.Time, published Published) int {
	for i, authority := range slices.Backward(b) {
		if authority.Key != nil && !now.Before(p.SignsFrom(authority.Cert)) && published(authority.Cert) {
			return i
		}
	}
	return slices.IndexFunc(b, func(p Pair) bool { return p.Key != nil })
}

// Due says why a certificate has to be made anew, and nothing if it needn't.
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
