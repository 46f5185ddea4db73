package server

import (
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/portolan-dev/portolan/pkg/gateway"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// applyGateway sets up what forwards requests to the cluster. certificates authenticates
// users by client certificate.
func (c *Config) applyGateway(o *options.Options, certificates authenticator.Request) error {
	if !o.ForwardsToCluster() {
		return nil
	}
	cluster, err := o.ClusterConfig()
	if err != nil {
		return err
	}
	c.Extra.Gateway, err = gateway.New(gateway.Config{
		Cluster:  cluster,
		CertFile: o.Gateway.ProxyClientCertFile, KeyFile: o.Gateway.ProxyClientKeyFile,
		Callers:       gateway.Callers{Certificates: certificates, Front: c.Generic.Authentication.RequestHeaderConfig},
		Authenticated: c.Extra.Connections.Authenticated,
		Serializer:    c.Extra.Codecs,
	})
	return err
}

// addGateway ends forwarded watches when the server stops: as late as load balancers have
// noticed that it does.
func addGateway(generic *genericapiserver.GenericAPIServer, forwarder *gateway.Forwarder) {
	generic.AddPreShutdownHookOrDie("portolan-gateway", func() error {
		time.AfterFunc(generic.ShutdownDelayDuration, forwarder.Drain)
		return nil
	})
}
