package server

import (
	"net/http"
	"strings"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/portolan-dev/portolan/pkg/bodies"
	"github.com/portolan-dev/portolan/pkg/callers"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/gateway"
	"github.com/portolan-dev/portolan/pkg/registry/service"
	"github.com/portolan-dev/portolan/pkg/server/auth"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// setHandlerChain adds the server's own filters to the framework's. A request passes, in
// this order:
//
//   - callers.WithLimits: long URLs and headers,
//   - auth.WithServiceUnavailable: a 503 where a backend could not be asked,
//   - the framework's filters: authentication, audit, flow control, authorization, …
//   - Connections.WithAuthorized, claims.WithPicks, service.WithPatchType, withDetails,
//   - bodies.WithLimits: long bodies,
//   - the handler of the resource, with admission.
func (c *Config) setHandlerChain(o *options.Options) {
	var details []detail
	if c.Extra.Space != nil {
		details = append(details, spaceDetail(c.Extra.Space))
	}
	if c.Extra.Controllers != nil {
		details = append(details, leaderDetail(c.Extra.Controllers.Leadership.Leader))
	}
	ledger, connections, forwarder := c.Extra.Backend.Ledger, c.Extra.Connections, c.Extra.Gateway
	c.Generic.BuildHandlerChainFunc = func(apiHandler http.Handler, generic *genericapiserver.Config) http.Handler {
		inner := bodies.WithLimits(apiHandler, generic.MaxRequestBodyBytes)
		inner = claims.WithPicks(ledger, service.WithPatchType(withDetails(inner, details)))
		inner = connections.WithAuthorized(inner)
		// Completing the configuration has added the authenticator of the loopback token.
		observed := *generic
		observed.Authentication.Authenticator = connections.Observe(generic.Authentication.Authenticator)
		if forwarder != nil {
			observed.RequestInfoResolver = gateway.Resolved(generic.RequestInfoResolver)
		}
		backend := "the authorization webhook"
		if o.InCluster() {
			backend = "the cluster's API server"
		}
		handler := auth.WithServiceUnavailable(buildChain(inner, &observed), generic.Serializer, backend)
		handler = callers.WithLimits(handler, callers.Limits{
			Serializer: generic.Serializer, Resolver: observed.RequestInfoResolver, LongRunning: generic.LongRunningFunc,
		})
		if forwarder != nil {
			handler = gateway.Split(handler, forwarder.WithFilters(&observed), generic.RequestInfoResolver)
		}
		return handler
	}
}

// buildChain adds the framework's filters. Without priority and fairness, which exempts
// the health checks, it exempts them from the limits on requests in flight.
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
