package users

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/load"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
	authorizationmetrics "k8s.io/apiserver/pkg/authorization/metrics"
	"k8s.io/apiserver/pkg/authorization/union"
	"k8s.io/apiserver/pkg/server/options/authorizationconfig/metrics"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/authorizer/webhook"
	webhookmetrics "k8s.io/apiserver/plugin/pkg/authorizer/webhook/metrics"
)

// typeGroups is the type that selects roles and bindings in a configuration. It replaces
// upstream's RBAC.
const typeGroups apiserver.AuthorizerType = "Groups"

// authorization authorizes requests as an AuthorizationConfiguration says.
type authorization struct {
	groups  Authorizer
	current atomic.Pointer[chain]
}

type chain struct {
	authorizer.Authorizer
	authorizer.RuleResolver
}

// Authorizer decides what users may do, and lists it.
type Authorizer interface {
	authorizer.Authorizer
	authorizer.RuleResolver
}

// NewAuthorization returns an authorizer that asks those of an
// AuthorizationConfiguration one after the other until one decides. It reads the file
// and reloads it on changes until ctx ends. The id identifies the server in metrics. groups
// is the authorizer of type Groups.
func NewAuthorization(ctx context.Context, file, id string, groups Authorizer) (Authorizer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	a := &authorization{groups: groups}
	if err := a.apply(ctx, data); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	metrics.RegisterMetrics()
	metrics.RecordAuthorizationConfigLastConfigInfo(id, string(data))
	go reloader{
		what: "authorization configuration", file: file, apply: a.apply, id: id,
		reloaded: metrics.RecordAuthorizationConfigAutomaticReloadSuccess,
		failed:   metrics.RecordAuthorizationConfigAutomaticReloadFailure,
	}.run(ctx, data)
	return current{authorizer.AuthorizerFunc(func(ctx context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
		return a.current.Load().Authorize(ctx, attributes)
	}), a}, nil
}

// current is the authorization that is in force.
type current struct {
	authorizer.Authorizer
	*authorization
}

// RulesFor implements authorizer.RuleResolver.
func (a *authorization) RulesFor(ctx context.Context, who user.Info, namespace string) ([]authorizer.ResourceRuleInfo,
	[]authorizer.NonResourceRuleInfo, bool, error) {
	return a.current.Load().RulesFor(ctx, who, namespace)
}

func (a *authorization) apply(_ context.Context, data []byte) error {
	compiler := authorizationcel.NewDefaultCompiler()
	config, err := parseAuthorization(data, compiler)
	if err != nil {
		return err
	}
	var named []union.NamedAuthorizer
	var resolvers []authorizer.RuleResolver
	for i, configured := range config.Authorizers {
		made := a.groups
		if configured.Type == apiserver.TypeWebhook {
			if made, err = newWebhook(configured, compiler); err != nil {
				return fmt.Errorf("authorizers[%d]: %w", i, err)
			}
		}
		resolvers = append(resolvers, made)
		instrumented := authorizationmetrics.InstrumentedAuthorizer(string(configured.Type), configured.Name, made)
		named = append(named, union.NamedAuthorizer{AuthorizerName: configured.Name, Authorizer: instrumented})
	}
	all, err := union.New(named...)
	if err != nil {
		return err
	}
	a.current.Store(&chain{all, union.NewRuleResolvers(resolvers...)})
	return nil
}

func parseAuthorization(data []byte, compiler authorizationcel.Compiler) (*apiserver.AuthorizationConfiguration, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("empty config data")
	}
	config, err := load.LoadFromData(data)
	if err != nil {
		return nil, err
	}
	known, repeatable := sets.New(string(typeGroups), string(apiserver.TypeWebhook)), sets.New(string(apiserver.TypeWebhook))
	errs := validation.ValidateAuthorizationConfiguration(compiler, nil, config, known, repeatable)
	for i, configured := range config.Authorizers {
		const file = apiserver.AuthorizationWebhookConnectionInfoTypeKubeConfigFile
		if hook := configured.Webhook; hook != nil && hook.ConnectionInfo.Type == apiserver.AuthorizationWebhookConnectionInfoTypeInCluster {
			path := field.NewPath("authorizers").Index(i).Child("webhook", "connectionInfo", "type")
			errs = append(errs, field.NotSupported(path, hook.ConnectionInfo.Type, []string{file}))
		}
	}
	return config, errs.ToAggregate()
}

// instruments are kube-apiserver's, which doesn't count requests to webhooks.
type instruments struct {
	webhookmetrics.NoopRequestMetrics
	webhookmetrics.WebhookMetrics
	authorizationcel.MatcherMetrics
}

func newWebhook(configured apiserver.AuthorizerConfiguration, compiler authorizationcel.Compiler) (Authorizer, error) {
	hook := configured.Webhook
	client, err := webhookutil.LoadKubeconfig(*hook.ConnectionInfo.KubeConfigFile, nil)
	if err != nil {
		return nil, err
	}
	client.Timeout = hook.Timeout.Duration
	onError := authorizer.DecisionDeny
	if hook.FailurePolicy == apiserver.FailurePolicyNoOpinion {
		onError = authorizer.DecisionNoOpinion
	}
	authorizedTTL, unauthorizedTTL := hook.AuthorizedTTL.Duration, hook.UnauthorizedTTL.Duration
	if !hook.CacheAuthorizedRequests {
		authorizedTTL = 0
	}
	if !hook.CacheUnauthorizedRequests {
		unauthorizedTTL = 0
	}
	return webhook.New(client, hook.SubjectAccessReviewVersion, authorizedTTL, unauthorizedTTL, *webhook.DefaultRetryBackoff(), onError,
		hook.MatchConditions, configured.Name,
		instruments{WebhookMetrics: webhookmetrics.NewWebhookMetrics(), MatcherMetrics: authorizationcel.NewMatcherMetrics()}, compiler)
}
