package server

import (
	"net/http"
	"strings"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/portolan-dev/portolan/pkg/bodies"
	"github.com/portolan-dev/portolan/pkg/callers"
	"github.com/portolan-dev/portolan/pkg/gateway"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/registry/absent"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/server/auth"
	"github.com/portolan-dev/portolan/pkg/users/removed"
)

// setHandlerChain adds the server's own filters to the framework's. A request passes, in
// this order:
//
//   - the gateway, which forwards what the server does not serve (only in a gateway),
//   - callers.WithLimits: long URLs and headers,
//   - requeststate.Begin: the state of the request,
//   - auth.WithServiceUnavailable: a 503 where a backend could not be asked,
//   - the framework's filters: authentication, audit, flow control, authorization, …
//   - Connections.WithAuthorized, removed.Users.WithEnd, Ledger.WithPicks,
//     withUnknownDocuments, withDetails,
//   - absent.WithRefusals: writes of kinds that need a cluster (only without one),
//   - bodies.WithLimits: long bodies,
//   - the handler of the resource, with admission.
func (c *Config) setHandlerChain() {
	details := c.details()
	// The configuration is complete by now: it has the authenticator of the loopback token.
	c.Generic.BuildHandlerChainFunc = func(resources http.Handler, completed *genericapiserver.Config) http.Handler {
		generic := c.frameworkConfig(completed)
		handler := c.withInnerFilters(resources, generic, details)
		handler = withFrameworkFilters(handler, generic)
		handler = requeststate.Begin(auth.WithServiceUnavailable(handler, generic.Serializer))
		handler = callers.WithLimits(handler, callers.Limits{
			Serializer: generic.Serializer, Resolver: generic.RequestInfoResolver, LongRunning: generic.LongRunningFunc,
		})
		if forwarder := c.Extra.Gateway; forwarder != nil {
			handler = gateway.Split(handler, forwarder.WithFilters(generic), completed.RequestInfoResolver)
		}
		return handler
	}
}

// details returns the lines that readiness shows beside the checks.
func (c *Config) details() []detail {
	var details []detail
	if c.Extra.Space != nil {
		details = append(details, spaceDetail(c.Extra.Space))
	}
	if c.Extra.Controllers != nil {
		details = append(details, leaderDetail(c.Extra.Controllers.Leadership.Leader))
	}
	return details
}

// frameworkConfig returns the configuration for the framework's filters.
func (c *Config) frameworkConfig(completed *genericapiserver.Config) *genericapiserver.Config {
	generic := *completed
	authenticator := generic.Authentication.Authenticator
	if c.Extra.Removed != nil {
		authenticator = removed.WithImpersonators(authenticator)
	}
	generic.Authentication.Authenticator = c.Extra.Connections.Authenticator(authenticator)
	if c.Extra.Gateway != nil {
		generic.RequestInfoResolver = gateway.Resolved(generic.RequestInfoResolver)
	}
	return &generic
}

// withInnerFilters adds the filters that authorized requests pass.
func (c *Config) withInnerFilters(resources http.Handler, generic *genericapiserver.Config, details []detail) http.Handler {
	handler := bodies.WithLimits(resources, generic.MaxRequestBodyBytes)
	if c.Extra.Reviews != nil {
		handler = absent.WithRefusals(handler, registry.AbsentKinds(), generic.Serializer)
	}
	handler = withUnknownDocuments(withDetails(handler, details))
	handler = c.Extra.Backend.Ledger.WithPicks(handler)
	if c.Extra.Removed != nil {
		handler = c.Extra.Removed.WithEnd(handler, generic.LongRunningFunc, generic.Serializer)
	}
	return c.Extra.Connections.WithAuthorized(handler)
}

// withFrameworkFilters adds the framework's filters. Without priority and fairness, which exempts
// the health checks, it exempts them from the limits on requests in flight.
func withFrameworkFilters(inner http.Handler, generic *genericapiserver.Config) http.Handler {
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
