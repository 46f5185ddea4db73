package auth

import (
	"context"
	"fmt"

	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	authorizers "k8s.io/apiserver/pkg/authorization/union"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/users"
)

func applyAuthorization(ctx context.Context, config *genericapiserver.Config, o *options.Options,
	alwaysAllowed authorizer.Authorizer) error {
	chain := []authorizers.NamedAuthorizer{
		{AuthorizerName: "PrivilegedGroups", Authorizer: authorizerfactory.NewPrivilegedGroups(o.Authorization.AlwaysAllowGroups...)},
		{AuthorizerName: "AlwaysAllowedPaths", Authorizer: alwaysAllowed},
	}
	if o.InCluster() {
		reviews, err := clusterAuthorizer(o)
		if err != nil {
			return err
		}
		chain = append(chain, authorizers.NamedAuthorizer{AuthorizerName: "SubjectAccessReview", Authorizer: observeAccessReviews(reviews)})
	} else {
		standalone, err := standaloneAuthorizer(ctx, config, o)
		if err != nil {
			return err
		}
		chain = append(chain, authorizers.NamedAuthorizer{AuthorizerName: "Users", Authorizer: observeWebhooks(standalone)})
		config.RuleResolver = standalone
	}
	var err error
	config.Authorization.Authorizer, err = authorizers.New(chain...)
	return err
}

// standaloneAuthorizer returns the authorizer of a server without a cluster: the file
// that a flag names, or the built-in groups.
func standaloneAuthorizer(ctx context.Context, config *genericapiserver.Config, o *options.Options) (users.Authorizer, error) {
	groups := users.NewGroups(registry.Resources())
	file := o.Users.AuthorizationConfig
	if file == "" {
		return groups, nil
	}
	configured, err := users.NewAuthorization(ctx, file, config.APIServerID, groups)
	if err != nil {
		return nil, fmt.Errorf("--authorization-config: %w", err)
	}
	return configured, nil
}
