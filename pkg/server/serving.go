package server

import (
	"context"

	"github.com/portolan-dev/portolan/pkg/certificates/servingsecret"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// byName is a certificate for the names that are in it.
type byName struct{ *servingsecret.Keeper }

// SNINames implements dynamiccertificates.SNICertKeyContentProvider.
func (byName) SNINames() []string { return nil }

// applyServingSecret makes the server present the certificate of --serving-secret, which
// all replicas share. It waits until there is one. Beside --tls-cert-file it is for the
// aggregation layer, which asks for its name.
func (c *Config) applyServingSecret(ctx context.Context, o *options.Options) error {
	namespace, name := o.ServingSecretName()
	if name == "" {
		return nil
	}
	cluster, err := o.ClusterConfig()
	if err != nil {
		return err
	}
	config, err := servingsecret.NewConfig(cluster, namespace, name, o.ServingServiceName())
	if err != nil {
		return err
	}
	keeper, err := servingsecret.New(ctx, config)
	if err != nil {
		return err
	}
	if serving := c.Generic.SecureServing; o.SecureServing.ServerCert.CertKey.CertFile != "" {
		serving.SNICerts = append(serving.SNICerts, byName{keeper})
	} else {
		serving.Cert = keeper
	}
	return nil
}
