package server

import (
	"context"

	"github.com/portolan-dev/portolan/pkg/certificates/servingsecret"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// applyServingSecret makes the server present the certificate of --serving-secret, which
// all replicas share. It waits until there is one.
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
	c.Generic.SecureServing.Cert = keeper
	return nil
}
