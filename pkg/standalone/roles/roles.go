// Package roles keeps the ClusterRoles and ClusterRoleBindings of a standalone server. It
// restores those that the server has from the start (package users), and fills aggregated
// ClusterRoles with the rules of the roles that they select, which
// kube-controller-manager does in a cluster.
package roles

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
	"k8s.io/component-helpers/auth/rbac/reconciliation"
)

// Ensure creates what is missing of the roles and bindings, and adds what they lack. It
// leaves further rules and subjects, and objects whose annotation
// rbac.authorization.kubernetes.io/autoupdate is false.
func Ensure(ctx context.Context, client kubernetes.Interface, roles []rbacv1.ClusterRole, bindings []rbacv1.ClusterRoleBinding) error {
	if err := fillAggregated(roles); err != nil {
		return err
	}
	var group errgroup.Group
	for i := range roles {
		options := reconciliation.ReconcileRoleOptions{
			Role: reconciliation.RuleOwner(reconciliation.ClusterRoleRuleOwner{ClusterRole: &roles[i]}), Confirm: true,
			Client: reconciliation.ClusterRoleModifier{Client: client.RbacV1().ClusterRoles()},
		}
		group.Go(func() error {
			return retried(ctx, "ClusterRole "+roles[i].Name, func() error { _, err := options.Run(); return err })
		})
	}
	for i := range bindings {
		options := reconciliation.ReconcileRoleBindingOptions{
			RoleBinding: reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: &bindings[i]}, Confirm: true,
			Client: reconciliation.ClusterRoleBindingClientAdapter{Client: client.RbacV1().ClusterRoleBindings()},
		}
		group.Go(func() error {
			return retried(ctx, "ClusterRoleBinding "+bindings[i].Name, func() error { _, err := options.Run(); return err })
		})
	}
	return group.Wait()
}

// retried tries again where another replica was faster. It names the object in errors.
func retried(ctx context.Context, what string, reconcile func() error) error {
	err := retry.OnError(retry.DefaultRetry, func(err error) bool {
		return ctx.Err() == nil && (apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsServiceUnavailable(err))
	}, reconcile)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// fillAggregated sets the rules of aggregated roles, which may aggregate each other, so that
// they are there from the start.
func fillAggregated(roles []rbacv1.ClusterRole) error {
	var all []*rbacv1.ClusterRole
	for i := range roles {
		all = append(all, &roles[i])
	}
	slices.SortFunc(all, func(x, y *rbacv1.ClusterRole) int { return cmp.Compare(x.Name, y.Name) })
	for changed := true; changed; {
		changed = false
		for _, role := range all {
			if role.AggregationRule == nil {
				continue
			}
			rules, err := gathered(role, all)
			if err != nil {
				return err
			}
			changed = changed || len(rules) != len(role.Rules)
			role.Rules = rules
		}
	}
	return nil
}

// gathered returns the rules of an aggregated role: those of all roles that it selects,
// each one once.
func gathered(role *rbacv1.ClusterRole, all []*rbacv1.ClusterRole) ([]rbacv1.PolicyRule, error) {
	rules := []rbacv1.PolicyRule{}
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil, err
		}
		for _, other := range all {
			if other.Name != role.Name && selector.Matches(labelsOf(other)) {
				rules = appendNew(rules, other.Rules)
			}
		}
	}
	return rules, nil
}
