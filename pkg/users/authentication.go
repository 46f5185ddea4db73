package users

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/options/authenticationconfig/metrics"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
)

const (
	// issuersTimeout is how long to wait for the keys of new issuers. retireAfter is
	// how long requests may still use the authenticators of the previous
	// configuration. Both are upstream's.
	issuersTimeout = time.Minute
	retireAfter    = time.Minute
)

// Authentication authenticates the bearers of JSON Web Tokens as an
// AuthenticationConfiguration says.
type Authentication struct {
	// Anonymous configures anonymous requests. It is nil if the configuration doesn't
	// mention them. It doesn't change when the file does.
	Anonymous *apiserver.AnonymousAuthConfig

	current atomic.Pointer[issuers]
	id      string
	// own is the issuer of the server itself, which no configuration can name.
	own string
}

var _ authenticator.Token = (*Authentication)(nil)

// issuers holds the authenticators of one version of the configuration.
type issuers struct {
	tokens authenticator.Token
	// healthy returns an error until the keys of all issuers are known.
	healthy func() error
	cancel  context.CancelFunc
}

// NewAuthentication reads an AuthenticationConfiguration from a file and reloads it on
// changes until ctx ends. Issuers needn't be reachable at first; their tokens are
// rejected until they are. It must not name the server's own issuer, whose tokens are valid
// only as long as what they name exists. The id identifies the server in metrics.
func NewAuthentication(ctx context.Context, file, own, id string) (*Authentication, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	config, err := parseAuthentication(data, own)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	a := &Authentication{Anonymous: config.Anonymous, id: id, own: own}
	first, err := newIssuers(ctx, config, id)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	a.current.Store(first)
	metrics.RegisterMetrics()
	metrics.RecordAuthenticationConfigLastConfigInfo(id, string(data))
	go reloader{
		what: "authentication configuration", file: file, apply: a.apply, id: id,
		reloaded: metrics.RecordAuthenticationConfigAutomaticReloadSuccess,
		failed:   metrics.RecordAuthenticationConfigAutomaticReloadFailure,
	}.run(ctx, data)
	return a, nil
}

// AuthenticateToken implements authenticator.Token. It returns the user of a token
// that one of the issuers has issued.
func (a *Authentication) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	return a.current.Load().tokens.AuthenticateToken(ctx, token)
}

// apply replaces the issuers once the keys of all new ones are known.
func (a *Authentication) apply(ctx context.Context, data []byte) error {
	config, err := parseAuthentication(data, a.own)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(config.Anonymous, a.Anonymous) {
		return field.Forbidden(field.NewPath("anonymous"), "changed from initial configuration file")
	}
	next, err := newIssuers(ctx, config, a.id)
	if err != nil {
		return err
	}
	var unhealthy error
	err = wait.PollUntilContextTimeout(ctx, time.Second, issuersTimeout, true, func(context.Context) (bool, error) {
		unhealthy = next.healthy()
		return unhealthy == nil, nil
	})
	if err != nil {
		next.cancel()
		return errors.Join(unhealthy, err)
	}
	last := a.current.Swap(next)
	time.AfterFunc(retireAfter, last.cancel)
	return nil
}

func newIssuers(ctx context.Context, config *apiserver.AuthenticationConfiguration, id string) (*issuers, error) {
	ctx, cancel := context.WithCancel(ctx)
	var tokens []authenticator.Token
	var checks []func() error
	for i, jwt := range config.JWT {
		made, err := newIssuer(ctx, jwt, id)
		if err != nil {
			cancel()
			return nil, fmt.Errorf("jwt[%d]: %w", i, err)
		}
		tokens, checks = append(tokens, made), append(checks, made.HealthCheck)
	}
	return &issuers{
		tokens: tokenunion.NewFailOnError(tokens...),
		healthy: func() error {
			var errs []error
			for _, check := range checks {
				errs = append(errs, check())
			}
			return errors.Join(errs...)
		},
		cancel: cancel,
	}, nil
}

func newIssuer(ctx context.Context, jwt apiserver.JWTAuthenticator, id string) (oidc.AuthenticatorTokenWithHealthCheck, error) {
	options := oidc.Options{JWTAuthenticator: jwt, SupportedSigningAlgs: oidc.AllValidSigningAlgorithms(), APIServerID: id}
	if authority := jwt.Issuer.CertificateAuthority; authority != "" {
		content, err := dynamiccertificates.NewStaticCAContent("issuer", []byte(authority))
		if err != nil {
			return nil, err
		}
		options.CAContentProvider = content
	}
	return oidc.New(ctx, options)
}

func parseAuthentication(data []byte, own string) (*apiserver.AuthenticationConfiguration, error) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder()
	decoded, err := runtime.Decode(decoder, data)
	if err != nil {
		return nil, err
	}
	config, ok := decoded.(*apiserver.AuthenticationConfiguration)
	if !ok {
		return nil, fmt.Errorf("expected AuthenticationConfiguration, got %T", decoded)
	}
	errs := validation.ValidateAuthenticationConfiguration(authenticationcel.NewDefaultCompiler(), config, []string{own})
	return config, errs.ToAggregate()
}
