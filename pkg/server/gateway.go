package server

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/gateway"
	"github.com/portolan-dev/portolan/pkg/gateway/preflight"
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
		DrainSpread:   o.Run.ShutdownWatchTerminationGracePeriod / 2,
	})
	if err != nil {
		return err
	}
	c.Extra.Preflight, err = c.newPreflight(o, cluster)
	return err
}

// newPreflight returns what is checked once the server serves.
func (c *Config) newPreflight(o *options.Options, cluster *rest.Config) (*preflight.Config, error) {
	client, err := kubernetes.NewForConfig(cluster)
	if err != nil {
		return nil, fmt.Errorf("client of the cluster: %w", err)
	}
	own, err := kubernetes.NewForConfig(unlimited(c.Generic.LoopbackClientConfig))
	if err != nil {
		return nil, err
	}
	rights, err := neededRights(o)
	return &preflight.Config{
		Cluster: cluster, Client: client, Own: own, Front: c.Extra.Gateway, CertFile: o.Gateway.ProxyClientCertFile, Rights: rights,
	}, err
}

// addPreflight checks the gateway's configuration, and ends the server if it must not go
// on.
func addPreflight(generic *genericapiserver.GenericAPIServer, config preflight.Config, fail context.CancelCauseFunc) {
	runInBackground(generic, "portolan-gateway-preflight", func(ctx context.Context) {
		if err := preflight.Run(ctx, config); err != nil {
			fail(misconfiguredError{err})
		}
	})
}

// misconfiguredError is why a server ends by itself.
type misconfiguredError struct{ error }

// Unwrap returns what is inside.
func (e misconfiguredError) Unwrap() error { return e.error }

// addGateway ends forwarded watches when the server stops: as late as load balancers have
// noticed that it does.
func addGateway(generic *genericapiserver.GenericAPIServer, forwarder *gateway.Forwarder) {
	generic.AddPreShutdownHookOrDie("portolan-gateway", func() error {
		time.AfterFunc(generic.ShutdownDelayDuration, forwarder.Drain)
		return nil
	})
}
