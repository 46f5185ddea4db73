package server

import (
	"net/http"
	"strings"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/portolan-dev/portolan/pkg/admission/resourcequota"
	"github.com/portolan-dev/portolan/pkg/bodies"
	"github.com/portolan-dev/portolan/pkg/callers"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/registry/service"
	"github.com/portolan-dev/portolan/pkg/server/auth"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// setHandlerChain puts the server's own filters around the handlers of the API,
// behind and in front of the framework's.
func (c *Config) setHandlerChain(o *options.Options) {
	var details []detail
	if c.Extra.Space != nil {
		details = append(details, spaceDetail(c.Extra.Space))
	}
	if c.Extra.Controllers != nil {
		details = append(details, leaderDetail(c.Extra.Controllers.Leadership.Leader))
	}
	ledger, connections := c.Extra.Backend.Ledger, c.Extra.Connections
	c.Generic.BuildHandlerChainFunc = func(apiHandler http.Handler, generic *genericapiserver.Config) http.Handler {
		inner := bodies.WithLimits(apiHandler, generic.MaxRequestBodyBytes)
		inner = claims.WithPicks(ledger, service.WithPatchType(withDetails(inner, details)))
		inner = connections.WithAuthorized(resourcequota.WithCharges(inner))
		// Completing the configuration has put the server's own token in front.
		watched := *generic
		watched.Authentication.Authenticator = connections.Observe(generic.Authentication.Authenticator)
		backend := "the authorization webhook"
		if o.InCluster() {
			backend = "the cluster's API server"
		}
		handler := auth.WithServiceUnavailable(buildChain(inner, &watched), generic.Serializer, backend)
		return callers.WithLimits(handler, callers.Limits{
			Serializer: generic.Serializer, Resolver: generic.RequestInfoResolver, LongRunning: generic.LongRunningFunc,
		})
	}
}

// buildChain builds the framework's filters. Where there is no priority and
// fairness, which exempts the health checks, it keeps other requests from
// crowding them out.
func buildChain(inner http.Handler, generic *genericapiserver.Config) http.Handler {
	handler := genericapiserver.DefaultBuildHandlerChain(inner, generic)
	if generic.FlowControl != nil {
		return handler
	}
	exempt := *generic
	exempt.MaxRequestsInFlight, exempt.MaxMutatingRequestsInFlight = 0, 0
	probes := genericapiserver.DefaultBuildHandlerChain(inner, &exempt)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch root, _, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/"); root {
		case "healthz", "livez", "readyz":
			probes.ServeHTTP(w, req)
		default:
			handler.ServeHTTP(w, req)
		}
	})
}
