package server

import (
	"errors"
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	authorizers "k8s.io/apiserver/pkg/authorization/union"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	authenticationv1 "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/utils/clock"

	"github.com/portolan-dev/portolan/pkg/server/options"
)

// identities are the sources of who a caller is.
type identities struct {
	// front is the aggregation layer, which names users in headers of requests
	// that it makes with a client certificate of its own. Nil trusts none.
	front *authenticatorfactory.RequestHeaderConfig
	// authorities sign the client certificates of users.
	authorities []dynamiccertificates.CAContentProvider
	// reviews tell who a bearer token belongs to. Nil knows none.
	reviews authenticationv1.AuthenticationV1Interface
}

// applyAuth sets up who is known and what they may do. Where there is a cluster
// both are its to say. Without one holders of client certificates of the
// server's own authority are known, and groups say what they may. In either case
// system:masters may do everything, and everybody may ask after the server's health.
func (c *Config) applyAuth(o *options.Options, ownCA string) error {
	everybody, err := path.NewAuthorizer(o.Authorization.AlwaysAllowPaths)
	if err != nil {
		return fmt.Errorf("--authorization-always-allow-paths: %w", err)
	}
	var known identities
	if o.InCluster() {
		known, err = c.identitiesOfCluster(o)
	} else {
		known, err = ownIdentities(ownCA)
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
	return applyAuthorization(&c.Generic.Config, o, everybody)
}

func ownIdentities(caFile string) (identities, error) {
	authority, err := dynamiccertificates.NewDynamicCAContentFromFile("own-ca", caFile)
	return identities{authorities: []dynamiccertificates.CAContentProvider{authority}}, err
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
		tokens, definitions, err := authenticatorfactory.DelegatingAuthenticatorConfig{
			TokenAccessReviewClient:  known.reviews,
			TokenAccessReviewTimeout: o.Authentication.TokenRequestTimeout,
			WebhookRetryBackoff:      o.Authentication.WebhookRetryBackoff,
			CacheTTL:                 o.Authentication.CacheTTL,
		}.New()
		sources = append(sources, noteUnasked(tokens))
		errs = append(errs, err)
		config.OpenAPIConfig.SecurityDefinitions = definitions
	}
	config.Authentication.Authenticator = union.NewFailOnError(union.New(sources...), anonymousOn(everybody))
	return errors.Join(errs...)
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

func applyAuthorization(config *genericapiserver.Config, o *options.Options, everybody authorizer.Authorizer) error {
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
		groups, err := newGroups()
		if err != nil {
			return err
		}
		chain = append(chain, authorizers.NamedAuthorizer{AuthorizerName: "Groups", Authorizer: groups})
	}
	var err error
	config.Authorization.Authorizer, err = authorizers.New(chain...)
	return err
}
