// Package server assembles the API server.
//
// As in k8s.io/apiserver, a Config is completed to a CompletedConfig, whose New makes the
// server. Run does all of it, from options to a server that serves; main and the tests
// share it.
package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	genericfilters "k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/util/notfoundhandler"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/callers"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/controllers"
	"github.com/portolan-dev/portolan/pkg/customresources"
	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/etcd/quota"
	"github.com/portolan-dev/portolan/pkg/gateway"
	"github.com/portolan-dev/portolan/pkg/gateway/preflight"
	"github.com/portolan-dev/portolan/pkg/metrics"
	"github.com/portolan-dev/portolan/pkg/rbac"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/registry/review"
	"github.com/portolan-dev/portolan/pkg/registry/serviceproxy"
	"github.com/portolan-dev/portolan/pkg/server/apigroups"
	"github.com/portolan-dev/portolan/pkg/serviceaccount"
	"github.com/portolan-dev/portolan/pkg/standalone/kubernetesservice"
	"github.com/portolan-dev/portolan/pkg/store/snapshot"
	"github.com/portolan-dev/portolan/pkg/users/removed"
)

// Config is the configuration of a server.
type Config struct {
	Generic *genericapiserver.RecommendedConfig
	Extra   ExtraConfig
}

// ExtraConfig is the configuration of a server beyond that of a generic one.
type ExtraConfig struct {
	Scheme *runtime.Scheme
	Codecs serializer.CodecFactory
	Store  *etcd.Store
	// Space tracks the size of the embedded etcd. It is nil for an external etcd.
	Space *quota.Gate
	// EtcdTimeout is how long the health checks wait for etcd.
	EtcdTimeout time.Duration
	Backend     registry.Backend
	// Feed keeps the allocation index up to date.
	Feed    *claims.Feed
	Metrics *metrics.Metrics
	// Connections limits the connections of clients.
	Connections *callers.Connections
	// StopCompactor stops the compaction of the store's history.
	StopCompactor func()
	// Seeds are the first ranges of an empty store.
	Seeds Seeds
	// HasCluster is true for a server that is not standalone. A cluster's Services can be
	// mirrored there.
	HasCluster bool
	// ServiceProxy guards the addresses that can be reached through Services.
	ServiceProxy serviceproxy.AddressPolicy
	// Controllers is nil for a server that runs no controllers.
	Controllers *controllers.Config
	// CollectsGarbage runs the garbage collector among the controllers. It is for a standalone
	// server: a cluster has its own.
	CollectsGarbage bool
	// Core is nil for a server that is not standalone, and for one without the core API
	// groups.
	Core *CoreConfig
	// CustomResources is nil for a server without custom resources.
	CustomResources *customresources.Config
	// KubernetesService maintains the Service kubernetes. It is nil for a server that leaves
	// it alone.
	KubernetesService *kubernetesservice.Config
	// Policy decides by roles and bindings. It is nil in a cluster.
	Policy *rbac.Policy
	// Removed are users without rights. It is nil for a server without roles of its own.
	Removed *removed.Users
	// Issuer issues the tokens of ServiceAccounts. It is nil for a server without them.
	Issuer *serviceaccount.Issuer
	// Reviews answers reviews of users and their rights. It is nil for a server that serves
	// none.
	Reviews *review.Config
	// Gateway forwards requests to the cluster. It is nil where the server forwards
	// none.
	Gateway *gateway.Forwarder
	// Preflight checks the configuration of Gateway.
	Preflight *preflight.Config
	// Fail ends the server, with a reason.
	Fail context.CancelCauseFunc
}

type completedConfig struct {
	Generic genericapiserver.CompletedConfig
	Extra   *ExtraConfig
}

// CompletedConfig is a configuration that Complete has completed.
type CompletedConfig struct {
	*completedConfig
}

// Complete sets the fields that follow from others.
func (c *Config) Complete() CompletedConfig {
	return CompletedConfig{&completedConfig{Generic: c.Generic.Complete(), Extra: &c.Extra}}
}

// Server is an API server.
type Server struct {
	Generic *genericapiserver.GenericAPIServer
}

// New makes the server: the generic one, the API groups, and the hooks that feed the index
// and create the first ranges.
func (c CompletedConfig) New() (*Server, error) {
	// As in kube-apiserver. By default the framework answers requests for unknown paths with a list of all paths.
	notFound := notfoundhandler.New(c.Generic.Serializer, genericfilters.NoMuxAndDiscoveryIncompleteKey)
	generic, custom, err := c.newGeneric(genericapiserver.NewEmptyDelegateWithCustomHandler(notFound))
	if err != nil {
		return nil, err
	}
	generic.RegisterDestroyFunc(c.Extra.StopCompactor)
	c.Extra.Metrics.Install(generic.Handler.NonGoRestfulMux, c.Generic.EnableProfiling)
	storage, err := registry.NewStorage(c.inputs(), c.Extra.Backend, storedKinds(c.Extra.Core != nil))
	if err != nil {
		return nil, err
	}
	if core := c.Extra.Core; core != nil {
		if err := core.install(generic, storage); err != nil {
			return nil, err
		}
	}
	if c.Extra.Issuer != nil {
		if err := addDiscovery(generic, c.Extra.Issuer, c.Generic.ExternalAddress); err != nil {
			return nil, err
		}
	}
	if keep := c.Extra.KubernetesService; keep != nil {
		runInBackground(generic, "portolan-kubernetes-service", func(ctx context.Context) { kubernetesservice.Run(ctx, *keep) })
	}
	if c.Extra.Gateway != nil {
		addGateway(generic, c.Extra.Gateway)
		addPreflight(generic, *c.Extra.Preflight, c.Extra.Fail)
	}
	groups := storage.Groups(c.Extra.Scheme, c.Extra.Codecs, c.Extra.Core != nil || c.Extra.Gateway != nil, c.Extra.Reviews)
	if err := apigroups.Install(generic, c.Generic.OpenAPIV3Config, groups); err != nil {
		return nil, err
	}
	generic.AddPostStartHookOrDie("portolan-allocation-index", func(hook genericapiserver.PostStartHookContext) error {
		c.Extra.Feed.Run(hook, storage.ClaimSource)
		return nil
	})
	runInBackground(generic, "portolan-expired-reservations", func(ctx context.Context) {
		claims.RemoveExpired(ctx, c.Extra.Backend.Ledger, storage.ClaimDeleter)
	})
	generic.AddPostStartHookOrDie("portolan-seed-ranges", func(hook genericapiserver.PostStartHookContext) error {
		if err := c.Extra.Seeds.EnsureDefaultRanges(hook, storage); hook.Err() == nil {
			return err
		}
		// The server stops already. An error of the hook would end it at once.
		return nil
	})
	var source snapshot.Source
	if c.Extra.Store.Embedded() {
		source = c.Extra.Store.Snapshot
	}
	if err := addSnapshots(generic, c.Extra.Codecs, source); err != nil {
		return nil, err
	}
	if err := c.addControllers(generic, custom, storage); err != nil {
		return nil, err
	}
	if err := generic.AddReadyzChecks(syncedCheck("allocation-index", c.Extra.Feed.HasSynced)); err != nil {
		return nil, err
	}
	installOpenAPI(generic, c.Generic.OpenAPIConfig, c.Generic.OpenAPIV3Config)
	return &Server{Generic: generic}, generic.AddHealthChecks(etcdCheck(c.Extra.Store, c.Extra.EtcdTimeout))
}

// newGeneric makes the generic server, with the server of custom resources behind it if they
// are served. The last one in the chain answers requests that no other knows.
func (c CompletedConfig) newGeneric(last genericapiserver.DelegationTarget) (*genericapiserver.GenericAPIServer,
	*customresources.Server, error) {
	if c.Extra.CustomResources == nil {
		generic, err := c.Generic.New("portolan", last)
		return generic, nil, err
	}
	c.Generic.AggregatedDiscoveryGroupManager = aggregated.NewResourceManager("apis")
	custom, err := c.Extra.CustomResources.New(c.Generic.Config, c.Extra.Backend.Getter, last)
	if err != nil {
		return nil, nil, err
	}
	generic, err := c.Generic.New("portolan", custom.Delegate())
	if err != nil {
		return nil, nil, err
	}
	return generic, custom, custom.Publish(generic)
}

// inputs returns the inputs of the rules of kinds.
func (c CompletedConfig) inputs() registry.Inputs {
	in := registry.Inputs{
		Typer:           c.Extra.Scheme,
		Families:        c.Extra.Backend.Ledger.Families,
		CIDRUsage:       c.Extra.Backend.Ledger,
		PortUsage:       c.Extra.Backend.Ledger,
		PoolUsage:       c.Extra.Backend.Ledger,
		RangeConditions: claims.NewRangeConditions(c.Extra.Backend.Ledger),
		Ledger:          c.Extra.Backend.Ledger,
		Synced:          c.Extra.Feed.HasSynced,
		Authorizer:      c.Generic.Authorization.Authorizer,
		QuotaUsage:      c.Extra.Backend.Ledger.FillQuotas,
		Loopback:        c.Extra.ServiceProxy.Loopback(),
		Decoder:         c.Extra.Codecs.UniversalDecoder(v1.SchemeGroupVersion),
		Mirror:          c.Extra.HasCluster,
		Proxy: func(services, endpoints rest.Getter) rest.Storage {
			return serviceproxy.NewREST(services, endpoints, &c.Extra.ServiceProxy)
		},
	}
	if c.Extra.Core != nil {
		in.EventTTL, in.Issuer = c.Extra.Core.EventTTL, c.Extra.Issuer
		in.Rights = c.Extra.Policy.Rules
	}
	return in
}

// syncedCheck fails until something has synced.
func syncedCheck(name string, synced func() bool) healthz.HealthChecker {
	return healthz.NamedCheck(name, func(*http.Request) error {
		if !synced() {
			return errors.New("not everything has been seen yet")
		}
		return nil
	})
}
