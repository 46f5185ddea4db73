package server

import (
	"crypto/sha256"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/authentication/authenticator"
)

const (
	// certificateTTL is how long a client certificate that was verified is
	// believed without being verified again: as long as the framework believes
	// a token. A change of the certificate authorities takes that long to count
	// for certificates in use.
	certificateTTL = 10 * time.Second
	// certificateCacheSize bounds the memory; beyond it the certificates that
	// were not used for longest are verified again.
	certificateCacheSize = 1024
)

// rememberCertificates spares the verification of a client certificate's chain
// on every request of a connection, an eighth of the work of a create
// otherwise. Who holds the certificate's key was found out in the TLS
// handshake, which is not spared. Only successes are remembered. It is for
// certificates that say who the caller is: behind that of a cluster's aggregation
// layer are all its users, so it must never go around what reads its headers.
func rememberCertificates(inner authenticator.Request, clock cache.Clock) authenticator.Request {
	remembered := cache.NewLRUExpireCacheWithClock(certificateCacheSize, clock)
	return authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
		if req.TLS == nil || len(req.TLS.PeerCertificates) == 0 {
			return inner.AuthenticateRequest(req)
		}
		leaf := req.TLS.PeerCertificates[0]
		key := sha256.Sum256(leaf.Raw)
		if response, ok := remembered.Get(key); ok {
			return response.(*authenticator.Response), true, nil
		}
		response, ok, err := inner.AuthenticateRequest(req)
		if ok && err == nil {
			remembered.Add(key, response, min(certificateTTL, leaf.NotAfter.Sub(clock.Now())))
		}
		return response, ok, err
	})
}
