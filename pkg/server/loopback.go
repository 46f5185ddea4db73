package server

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/healthz"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

// loopbackLifetime is about three years, as upstream's.
const loopbackLifetime = (3*365 + 1) * 24 * time.Hour

// applyLoopback lets the server send requests to itself. It does what ApplyToConfig of
// upstream's SecureServingOptionsWithLoopback does, which generates RSA keys: that takes a
// fifth of the CPU time of a start.
func applyLoopback(config *genericapiserver.Config, now func() time.Time) error {
	const name = genericapiserver.LoopbackClientServerNameOverride
	expires := now().Add(loopbackLifetime)
	authority, err := certificates.NewAuthority(name+"-ca", now(), loopbackLifetime)
	if err != nil {
		return err
	}
	pair, err := authority.Issue(x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, now(), loopbackLifetime)
	if err != nil {
		return err
	}
	cert, key, err := pair.Encode()
	if err != nil {
		return err
	}
	provider, err := dynamiccertificates.NewStaticSNICertKeyContent("self-signed loopback", cert, key, name)
	if err != nil {
		return err
	}
	serving := config.SecureServing
	// The first one wins.
	serving.SNICerts = append([]dynamiccertificates.SNICertKeyContentProvider{provider}, serving.SNICerts...)
	config.LoopbackClientConfig, err = serving.NewLoopbackClientConfig(string(uuid.NewUUID()), certificates.EncodeCerts(authority.Cert))
	if err != nil {
		return err
	}
	check := healthz.NamedCheck("loopback-serving-certificate", func(*http.Request) error {
		if now().After(expires) {
			return genericoptions.LoopbackCertificateExpiredError{}
		}
		return nil
	})
	config.AddHealthzChecks(check)
	config.AddLivezChecks(check)
	return nil
}
