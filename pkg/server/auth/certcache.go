package auth

import (
	"crypto/sha256"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/authentication/authenticator"
)

const (
	// certificateTTL is how long a verified client certificate is cached: as long as the
	// framework caches a token. A change of the certificate authorities takes effect on
	// certificates in use after that time.
	certificateTTL = 10 * time.Second
	// certificateCacheSize bounds the memory. The least recently used certificates are
	// evicted.
	certificateCacheSize = 1024
)

// cacheCertificates skips the verification of a client certificate's chain on all but
// the first requests of a connection. Otherwise it is an eighth of the work of a create.
// The TLS handshake, which is not skipped, proves that the caller holds the key. Only
// successes are cached.
//
// It is for certificates that identify the user. The certificate of a cluster's
// aggregation layer is shared by all its users, so this must never wrap the
// authenticator that reads the layer's headers.
func cacheCertificates(inner authenticator.Request, clock cache.Clock) authenticator.Request {
	cached := cache.NewLRUExpireCacheWithClock(certificateCacheSize, clock)
	return authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
		if req.TLS == nil || len(req.TLS.PeerCertificates) == 0 {
			return inner.AuthenticateRequest(req)
		}
		leaf := req.TLS.PeerCertificates[0]
		key := sha256.Sum256(leaf.Raw)
		if response, ok := cached.Get(key); ok {
			return response.(*authenticator.Response), true, nil
		}
		response, ok, err := inner.AuthenticateRequest(req)
		if ok && err == nil {
			cached.Add(key, response, min(certificateTTL, leaf.NotAfter.Sub(clock.Now())))
		}
		return response, ok, err
	})
}
