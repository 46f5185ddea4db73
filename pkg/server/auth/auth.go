// Package auth decides who a caller is and what it may do.
//
// An aggregated server asks its cluster: the aggregation layer names users in headers, the
// cluster's certificate authority signs client certificates, TokenReviews authenticate
// tokens and SubjectAccessReviews authorize requests (cluster.go). If the cluster cannot be
// asked, the answer is a 503 instead of the framework's 401, 403 or 500 (unavailable.go).
//
// A standalone server knows the holders of client certificates of its own authority, the
// tokens of its ServiceAccounts (accounts.go) and the tokens of the files that its flags
// name (package users).
//
// In either case members of system:masters may do everything, and the paths of
// --authorization-always-allow-paths are open to all callers.
package auth

import (
	"context"
	"fmt"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authorization/path"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	authenticationv1 "k8s.io/client-go/kubernetes/typed/authentication/v1"

	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
	"github.com/portolan-dev/portolan/pkg/rbac"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/serviceaccount"
	"github.com/portolan-dev/portolan/pkg/users"
	"github.com/portolan-dev/portolan/pkg/users/removed"
)

// userSources authenticate callers.
type userSources struct {
	// requestHeader configures the aggregation layer, which authenticates itself with a
	// client certificate and names users in headers. Nil trusts no headers.
	requestHeader *authenticatorfactory.RequestHeaderConfig
	// clientCAs sign the client certificates of users.
	clientCAs []dynamiccertificates.CAContentProvider
	// tokenReviews authenticates bearer tokens. It may be nil.
	tokenReviews authenticationv1.AuthenticationV1Interface
	// tokens authenticate bearer tokens locally.
	tokens []authenticator.Token
	// issuer issues the tokens of ServiceAccounts. It may be nil.
	issuer *serviceaccount.Issuer
	// anonymous configures anonymous requests. Nil allows them on the always allowed
	// paths.
	anonymous *apiserver.AnonymousAuthConfig
}

// Authenticators are the parts of a server's authentication that are also used by
// themselves.
type Authenticators struct {
	// Certificates goes by client certificates.
	Certificates authenticator.Request
	// Tokens goes by bearer tokens. It is nil for a server that knows none by itself.
	Tokens authenticator.Request
	// ClientCA has the authorities of client certificates. It may be nil.
	ClientCA dynamiccertificates.CAContentProvider
	// Issuer issues the tokens of ServiceAccounts. It is nil for a server without them.
	Issuer *serviceaccount.Issuer
	// Policy is what users may do by roles and bindings. It is nil for a server that has none
	// of its own.
	Policy *rbac.Policy
	// Removed are users without any rights. It is nil for a server that has no roles and
	// bindings of its own.
	Removed *removed.Users
}

// ApplyTo sets up authentication and authorization, and describes them in the OpenAPI
// documents. The files are those of a standalone server.
func ApplyTo(ctx context.Context, config *genericapiserver.Config, o *options.Options,
	files datadir.Files) (parts Authenticators, err error) {
	alwaysAllowed, err := path.NewAuthorizer(o.Authorization.AlwaysAllowPaths)
	if err != nil {
		return parts, fmt.Errorf("--authorization-always-allow-paths: %w", err)
	}
	var sources userSources
	if o.InCluster() {
		sources, err = clusterSources(config, o)
	} else {
		sources, err = standaloneSources(ctx, config, o, files)
	}
	if err != nil {
		return parts, err
	}
	if file := o.Authentication.ClientCert.ClientCA; file != "" {
		authority, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca-file", file)
		if err != nil {
			return parts, err
		}
		sources.clientCAs = append(sources.clientCAs, authority)
	}
	if o.ForwardsToCluster() {
		// At the core paths anonymous callers may do what the cluster lets them do.
		sources.anonymous = &apiserver.AnonymousAuthConfig{Enabled: true}
	}
	if parts, err = applyAuthentication(config, o, sources, alwaysAllowed); err != nil {
		return parts, err
	}
	parts.Issuer = sources.issuer
	describeAuthentication(config, sources.tokenReviews != nil || len(sources.tokens) > 0)
	if o.Core() && !o.InCluster() {
		parts.Removed = removed.New()
	}
	parts.Policy, err = applyAuthorization(ctx, config, o, alwaysAllowed, parts.Removed)
	return parts, err
}

// standaloneSources returns the sources of a server without a cluster: its own
// certificate authority and the files that the flags name.
func standaloneSources(ctx context.Context, config *genericapiserver.Config, o *options.Options,
	files datadir.Files) (sources userSources, err error) {
	authority, err := dynamiccertificates.NewDynamicCAContentFromFile("own-ca", files.CACert)
	if err != nil {
		return sources, err
	}
	sources.clientCAs = append(sources.clientCAs, authority)
	if o.Core() {
		if err := sources.addAccounts(config, o, files.AccountKey); err != nil {
			return sources, err
		}
	}
	if file := o.Users.TokenAuthFile; file != "" {
		tokens, err := tokenfile.NewCSV(file)
		if err != nil {
			return sources, fmt.Errorf("--token-auth-file: %w", err)
		}
		sources.tokens = append(sources.tokens, authenticator.WrapAudienceAgnosticToken(config.Authentication.APIAudiences, tokens))
	}
	if file := o.Users.AuthenticationConfig; file != "" {
		issued, err := users.NewAuthentication(ctx, file, o.Users.ServiceAccountIssuer, config.APIServerID)
		if err != nil {
			return sources, fmt.Errorf("--authentication-config: %w", err)
		}
		sources.tokens = append(sources.tokens, authenticator.WrapAudienceAgnosticToken(config.Authentication.APIAudiences, issued))
		sources.anonymous = issued.Anonymous
	}
	return sources, nil
}
