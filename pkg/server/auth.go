package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	authorizers "k8s.io/apiserver/pkg/authorization/union"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	authenticationv1 "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/utils/clock"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/users"
)

// tokenTTL is for how long is remembered whose a token is. It is upstream's.
const tokenTTL = 10 * time.Second

// identities are the sources of who a caller is.
type identities struct {
	// front is the aggregation layer, which names users in headers of requests
	// that it makes with a client certificate of its own. Nil trusts none.
	front *authenticatorfactory.RequestHeaderConfig
	// authorities sign the client certificates of users.
	authorities []dynamiccertificates.CAContentProvider
	// reviews tell who a bearer token belongs to. Nil knows none.
	reviews authenticationv1.AuthenticationV1Interface
	// tokens do so without asking anybody.
	tokens []authenticator.Token
	// anonymous is where callers needn't say who they are. Nil is where everybody
	// may go.
	anonymous *apiserver.AnonymousAuthConfig
}

// applyAuth sets up who is known and what they may do. Where there is a cluster
// both are its to say. Without one holders of client certificates of the
// server's own authority are known, and groups say what they may. In either case
// system:masters may do everything, and everybody may ask after the server's health.
func (c *Config) applyAuth(ctx context.Context, o *options.Options, ownCA string) error {
	everybody, err := path.NewAuthorizer(o.Authorization.AlwaysAllowPaths)
	if err != nil {
		return fmt.Errorf("--authorization-always-allow-paths: %w", err)
	}
	var known identities
	if o.InCluster() {
		known, err = c.identitiesOfCluster(o)
	} else {
		known, err = c.ownIdentities(ctx, o, ownCA)
	}
	if err != nil {
		return err
	}
	if file := o.Authentication.ClientCert.ClientCA; file != "" {
		authority, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca-file", file)
		if err != nil {
			return err
		}
		known.authorities = append(known.authorities, authority)
	}
	if err := applyAuthentication(&c.Generic.Config, o, known, everybody); err != nil {
		return err
	}
	describeAuthentication(&c.Generic.Config, known.reviews != nil || len(known.tokens) > 0)
	return applyAuthorization(ctx, &c.Generic.Config, o, everybody)
}

// ownIdentities are those of a server without a cluster: of its authority, and of
// the files that the flags name.
func (c *Config) ownIdentities(ctx context.Context, o *options.Options, caFile string) (known identities, err error) {
	authority, err := dynamiccertificates.NewDynamicCAContentFromFile("own-ca", caFile)
	if err != nil {
		return known, err
	}
	known.authorities = append(known.authorities, authority)
	if file := o.Users.TokenAuthFile; file != "" {
		tokens, err := tokenfile.NewCSV(file)
		if err != nil {
			return known, fmt.Errorf("--token-auth-file: %w", err)
		}
		known.tokens = append(known.tokens, tokens)
	}
	if file := o.Users.AuthenticationConfig; file != "" {
		issued, err := users.NewAuthentication(ctx, file, c.Generic.APIServerID)
		if err != nil {
			return known, fmt.Errorf("--authentication-config: %w", err)
		}
		known.tokens = append(known.tokens, issued)
		known.anonymous = issued.Anonymous
	}
	return known, nil
}

// applyAuthentication does what the framework's DelegatingAuthenticationOptions
// do. But the sources are apart, so that certificates of users are remembered
// and that of the aggregation layer, behind which are many users, is not.
func applyAuthentication(config *genericapiserver.Config, o *options.Options, known identities, everybody authorizer.Authorizer) error {
	var sources []authenticator.Request
	var errs []error
	// The aggregation layer goes first: should an authority of users have signed
	// its certificate as well, it still speaks for others and not for itself.
	if known.front != nil {
		front, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{RequestHeaderConfig: known.front}.New()
		sources = append(sources, front)
		errs = append(errs, err, config.Authentication.ApplyClientCert(known.front.CAContentProvider, config.SecureServing))
		config.Authentication.RequestHeaderConfig = known.front
	}
	if len(known.authorities) > 0 {
		union := dynamiccertificates.NewUnionCAContentProvider(known.authorities...)
		certificates, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{ClientCertificateCAContentProvider: union}.New()
		sources = append(sources, rememberCertificates(certificates, clock.RealClock{}))
		errs = append(errs, err, config.Authentication.ApplyClientCert(union, config.SecureServing))
	}
	if known.reviews != nil {
		tokens, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{
			TokenAccessReviewClient:  known.reviews,
			TokenAccessReviewTimeout: o.Authentication.TokenRequestTimeout,
			WebhookRetryBackoff:      o.Authentication.WebhookRetryBackoff,
			CacheTTL:                 o.Authentication.CacheTTL,
		}.New()
		sources = append(sources, noteUnasked(tokens))
		errs = append(errs, err)
	}
	if len(known.tokens) > 0 {
		sources = append(sources, bearers(known.tokens))
	}
	authenticators := []authenticator.Request{union.New(sources...)}
	switch {
	case known.anonymous == nil:
		authenticators = append(authenticators, anonymousOn(everybody))
	case known.anonymous.Enabled:
		authenticators = append(authenticators, anonymous.NewAuthenticator(known.anonymous.Conditions))
	}
	config.Authentication.Authenticator = union.NewFailOnError(authenticators...)
	return errors.Join(errs...)
}

// describeAuthentication says in the description of the API how callers say who
// they are, and that they may have to, as kube-apiserver's does
// (pkg/kubeapiserver/authenticator). OpenAPI has no word for client certificates.
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

// bearers knows who sends a token, in a header or, as browsers do, in the protocol
// of a WebSocket.
func bearers(tokens []authenticator.Token) authenticator.Request {
	remembered := cache.New(tokenunion.New(tokens...), true, tokenTTL, 0)
	return group.NewAuthenticatedGroupAdder(union.New(bearertoken.New(remembered), websocket.NewProtocolAuthenticator(remembered)))
}

// anonymousOn knows callers who don't say who they are, where everybody may go.
func anonymousOn(everybody authorizer.Authorizer) authenticator.Request {
	anybody := anonymous.NewAuthenticator(nil)
	return authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
		decision, _, err := everybody.Authorize(req.Context(), authorizer.AttributesRecord{Path: req.URL.Path})
		if err != nil || decision != authorizer.DecisionAllow {
			return nil, false, err
		}
		return anybody.AuthenticateRequest(req)
	})
}

func applyAuthorization(ctx context.Context, config *genericapiserver.Config, o *options.Options, everybody authorizer.Authorizer) error {
	chain := []authorizers.NamedAuthorizer{
		{AuthorizerName: "PrivilegedGroups", Authorizer: authorizerfactory.NewPrivilegedGroups(o.Authorization.AlwaysAllowGroups...)},
		{AuthorizerName: "AlwaysAllowedPaths", Authorizer: everybody},
	}
	if o.InCluster() {
		reviews, err := reviewsOfCluster(o)
		if err != nil {
			return err
		}
		chain = append(chain, authorizers.NamedAuthorizer{AuthorizerName: "SubjectAccessReview", Authorizer: noteUnanswered(reviews)})
	} else {
		own, err := ownAuthorizer(ctx, config, o)
		if err != nil {
			return err
		}
		chain = append(chain, authorizers.NamedAuthorizer{AuthorizerName: "Users", Authorizer: own})
	}
	var err error
	config.Authorization.Authorizer, err = authorizers.New(chain...)
	return err
}

// ownAuthorizer is what says what users may do where there is no cluster.
func ownAuthorizer(ctx context.Context, config *genericapiserver.Config, o *options.Options) (authorizer.Authorizer, error) {
	file := o.Users.AuthorizationConfig
	if file == "" {
		return users.NewGroups()
	}
	own, err := users.NewAuthorization(ctx, file, config.APIServerID)
	if err != nil {
		return nil, fmt.Errorf("--authorization-config: %w", err)
	}
	return noteUnreachable(own), nil
}
