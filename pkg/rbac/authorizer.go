package rbac

import (
	"context"
	"errors"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

var (
	_ authorizer.Authorizer   = &Policy{}
	_ authorizer.RuleResolver = &Policy{}
)

// ConditionsAwareAuthorize implements authorizer.Authorizer. Rules have no conditions.
func (p *Policy) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(p.Authorize(ctx, a))
}

// EvaluateConditions implements authorizer.Authorizer.
func (p *Policy) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision,
	authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// Authorize implements authorizer.Authorizer. Its reasons are kube-apiserver's.
func (p *Policy) Authorize(_ context.Context, a authorizer.Attributes) (decision authorizer.Decision, reason string, err error) {
	decision = authorizer.DecisionNoOpinion
	who := a.GetUser()
	if who == nil {
		return decision, "", nil
	}
	if p.unknown() {
		return decision, "", ErrUnknown
	}
	var missing []error
	p.visit(who, a.GetNamespace(), func(b *Binding, rule *rbacv1.PolicyRule, err error) bool {
		if err != nil {
			missing = append(missing, err)
			return true
		}
		if !allows(rule, a) {
			return true
		}
		decision, reason = authorizer.DecisionAllow, "RBAC: allowed by "+b.describe(who)
		return false
	})
	if decision == authorizer.DecisionNoOpinion && len(missing) > 0 {
		reason = fmt.Sprintf("RBAC: %v", utilerrors.NewAggregate(missing))
	}
	return decision, reason, nil
}

// Rules returns the rules that apply to a user in a namespace, or in the cluster if the
// namespace is empty, and an error that names the missing roles.
func (p *Policy) Rules(who user.Info, namespace string) ([]rbacv1.PolicyRule, error) {
	if p.unknown() {
		return nil, ErrUnknown
	}
	var rules []rbacv1.PolicyRule
	var missing []error
	p.visit(who, namespace, func(_ *Binding, rule *rbacv1.PolicyRule, err error) bool {
		if err != nil {
			missing = append(missing, err)
		} else {
			rules = append(rules, *rule)
		}
		return true
	})
	return rules, utilerrors.NewAggregate(missing)
}

// RulesFor implements authorizer.RuleResolver.
func (p *Policy) RulesFor(_ context.Context, who user.Info, namespace string) (resources []authorizer.ResourceRuleInfo,
	paths []authorizer.NonResourceRuleInfo, incomplete bool, err error) {
	rules, err := p.Rules(who, namespace)
	for _, rule := range rules {
		if len(rule.Resources) > 0 {
			resources = append(resources, &authorizer.DefaultResourceRuleInfo{
				Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames,
			})
		}
		if len(rule.NonResourceURLs) > 0 {
			paths = append(paths, &authorizer.DefaultNonResourceRuleInfo{Verbs: rule.Verbs, NonResourceURLs: rule.NonResourceURLs})
		}
	}
	return resources, paths, errors.Is(err, ErrUnknown), err
}
