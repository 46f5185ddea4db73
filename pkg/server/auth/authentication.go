package auth

import (
	"errors"
	"net/http"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/utils/clock"

	"github.com/portolan-dev/portolan/pkg/server/options"
)

// tokenTTL is how long an authenticated token is cached. It is upstream's.
const tokenTTL = 10 * time.Second

// applyAuthentication does what the framework's DelegatingAuthenticationOptions does,
// but builds one authenticator per source. This allows caching the certificates of
// users, and not that of the aggregation layer, which many users share.
func applyAuthentication(config *genericapiserver.Config, o *options.Options, from userSources,
	alwaysAllowed authorizer.Authorizer) (parts Authenticators, err error) {
	var sources []authenticator.Request
	var errs []error
	// The aggregation layer goes first. If a CA of users has signed its certificate too,
	// the headers still name the user.
	if from.requestHeader != nil {
		headers, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{RequestHeaderConfig: from.requestHeader}.New()
		sources = append(sources, headers)
		errs = append(errs, err, config.Authentication.ApplyClientCert(from.requestHeader.CAContentProvider, config.SecureServing))
		config.Authentication.RequestHeaderConfig = from.requestHeader
	}
	if len(from.clientCAs) > 0 {
		union := dynamiccertificates.NewUnionCAContentProvider(from.clientCAs...)
		parts.ClientCA = union
		users, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{ClientCertificateCAContentProvider: union}.New()
		sources = append(sources, cacheCertificates(users, clock.RealClock{}))
		errs = append(errs, err, config.Authentication.ApplyClientCert(union, config.SecureServing))
	}
	parts.Certificates = union.New(sources...)
	if from.tokenReviews != nil {
		tokens, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{
			TokenAccessReviewClient:  from.tokenReviews,
			TokenAccessReviewTimeout: o.Authentication.TokenRequestTimeout,
			WebhookRetryBackoff:      o.Authentication.WebhookRetryBackoff,
			CacheTTL:                 o.Authentication.CacheTTL,
		}.New()
		sources = append(sources, observeTokenReviews(tokens))
		errs = append(errs, err)
	}
	if len(from.tokens) > 0 {
		parts.Tokens = observeAccounts(bearerTokens(from.tokens))
		sources = append(sources, parts.Tokens)
	}
	authenticators := []authenticator.Request{union.New(sources...)}
	switch {
	case from.anonymous == nil:
		authenticators = append(authenticators, anonymousOn(alwaysAllowed))
	case from.anonymous.Enabled:
		authenticators = append(authenticators, anonymous.NewAuthenticator(from.anonymous.Conditions))
	}
	config.Authentication.Authenticator = union.NewFailOnError(authenticators...)
	return parts, errors.Join(errs...)
}

// describeAuthentication adds the security schemes to the OpenAPI documents, as
// kube-apiserver does (pkg/kubeapiserver/authenticator). OpenAPI has none for client
// certificates.
func describeAuthentication(config *genericapiserver.Config, tokens bool) {
	const name, kind, header, in, description = "BearerToken", "apiKey", "authorization", "header", "Bearer Token authentication"
	v2, v3 := spec.SecurityDefinitions{}, spec3.SecuritySchemes{}
	if tokens {
		v2[name] = &spec.SecurityScheme{SecuritySchemeProps: spec.SecuritySchemeProps{Type: kind, Name: header, In: in, Description: description}}
		v3[name] = &spec3.SecurityScheme{
			SecuritySchemeProps: spec3.SecuritySchemeProps{Type: kind, Name: header, In: in, Description: description},
		}
	}
	config.OpenAPIConfig.SecurityDefinitions, config.OpenAPIV3Config.SecuritySchemes = &v2, v3
}

// bearerTokens authenticates tokens in the Authorization header and, since browsers
// cannot set that header, in the subprotocol of a WebSocket.
func bearerTokens(tokens []authenticator.Token) authenticator.Request {
	cached := cache.New(tokenunion.New(tokens...), true, tokenTTL, 0)
	return group.NewAuthenticatedGroupAdder(union.New(bearertoken.New(cached), websocket.NewProtocolAuthenticator(cached)))
}

// anonymousOn authenticates callers without credentials as system:anonymous on the
// paths that an authorizer allows.
func anonymousOn(allowed authorizer.Authorizer) authenticator.Request {
	inner := anonymous.NewAuthenticator(nil)
	return authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
		decision, _, err := allowed.Authorize(req.Context(), authorizer.AttributesRecord{Path: req.URL.Path})
		if err != nil || decision != authorizer.DecisionAllow {
			return nil, false, err
		}
		return inner.AuthenticateRequest(req)
	})
}
