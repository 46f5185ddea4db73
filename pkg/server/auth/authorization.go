package auth

import (
	"context"
	"fmt"

	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	authorizers "k8s.io/apiserver/pkg/authorization/union"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/portolan-dev/portolan/pkg/rbac"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/users"
	"github.com/portolan-dev/portolan/pkg/users/removed"
)

func applyAuthorization(ctx context.Context, config *genericapiserver.Config, o *options.Options,
	alwaysAllowed authorizer.Authorizer, without *removed.Users) (policy *rbac.Policy, err error) {
	chain := []authorizers.NamedAuthorizer{{AuthorizerName: "AlwaysAllowedPaths", Authorizer: alwaysAllowed}}
	if without != nil {
		// Members of privileged groups can be removed too.
		chain = append(chain, authorizers.NamedAuthorizer{AuthorizerName: "Removed", Authorizer: observeUsers(without)})
	}
	chain = append(chain, authorizers.NamedAuthorizer{
		AuthorizerName: "PrivilegedGroups", Authorizer: authorizerfactory.NewPrivilegedGroups(o.Authorization.AlwaysAllowGroups...),
	})
	if o.InCluster() {
		reviews, err := clusterAuthorizer(o)
		if err != nil {
			return nil, err
		}
		chain = append(chain, authorizers.NamedAuthorizer{AuthorizerName: "SubjectAccessReview", Authorizer: observeAccessReviews(reviews)})
	} else {
		// Without the core API groups nobody can write roles.
		policy = rbac.NewPolicy()
		if !o.Core() {
			policy = users.NewGroups(registry.Resources())
		}
		standalone, err := standaloneAuthorizer(ctx, config, o, policy)
		if err != nil {
			return nil, err
		}
		chain = append(chain, authorizers.NamedAuthorizer{AuthorizerName: "Users", Authorizer: observeUsers(standalone)})
		config.RuleResolver = standalone
	}
	config.Authorization.Authorizer, err = authorizers.New(chain...)
	return policy, err
}

// standaloneAuthorizer returns the authorizer of a server without a cluster: the file
// that a flag names, or the policy.
func standaloneAuthorizer(ctx context.Context, config *genericapiserver.Config, o *options.Options,
	policy *rbac.Policy) (users.Authorizer, error) {
	file := o.Users.AuthorizationConfig
	if file == "" {
		return policy, nil
	}
	configured, err := users.NewAuthorization(ctx, file, config.APIServerID, policy)
	if err != nil {
		return nil, fmt.Errorf("--authorization-config: %w", err)
	}
	return configured, nil
}
