// Package role is the registry of Roles, ClusterRoles, RoleBindings and
// ClusterRoleBindings. The authorizer that goes by them is in package rbac.
//
//   - strategy.go has the rules of each kind, and table.go their columns.
//   - escalation.go keeps users from granting rights that they do not have, and removal.go
//     from removing other users.
package role

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/apis/core/validation"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var (
	_ rest.RESTCreateStrategy = strategy[*rbacv1.Role]{}
	_ rest.RESTUpdateStrategy = strategy[*rbacv1.Role]{}
	_ rest.RESTDeleteStrategy = strategy[*rbacv1.Role]{}
)

// strategy follows upstream's strategies of the four kinds (pkg/registry/rbac). T is the
// type of the objects.
type strategy[T runtime.Object] struct {
	generic.DefaultStrategy
	namespaced     bool
	validate       func(T) field.ErrorList
	validateUpdate func(obj, old T) field.ErrorList
}

// Rules returns the rules of Roles.
func Rules(typer runtime.ObjectTyper) generic.Rules {
	return rules(typer, true, validation.ValidateRole, validation.ValidateRoleUpdate)
}

// ClusterRules returns the rules of ClusterRoles.
func ClusterRules(typer runtime.ObjectTyper) generic.Rules {
	return rules(typer, false, validation.ValidateClusterRole, validation.ValidateClusterRoleUpdate)
}

// BindingRules returns the rules of RoleBindings.
func BindingRules(typer runtime.ObjectTyper) generic.Rules {
	return rules(typer, true, validateRoleBinding, validation.ValidateRoleBindingUpdate)
}

// ClusterBindingRules returns the rules of ClusterRoleBindings.
func ClusterBindingRules(typer runtime.ObjectTyper) generic.Rules {
	return rules(typer, false, validation.ValidateClusterRoleBinding, validation.ValidateClusterRoleBindingUpdate)
}

func rules[T runtime.Object](typer runtime.ObjectTyper, namespaced bool, validate func(T) field.ErrorList,
	validateUpdate func(obj, old T) field.ErrorList) generic.Rules {
	return generic.Rules{Strategy: strategy[T]{generic.NewDefaultStrategy(typer), namespaced, validate, validateUpdate}}
}

func (s strategy[T]) NamespaceScoped() bool { return s.namespaced }

func (strategy[T]) PrepareForCreate(context.Context, runtime.Object) {}

func (strategy[T]) PrepareForUpdate(_ context.Context, _, _ runtime.Object) {}

func (strategy[T]) AllowCreateOnUpdate(context.Context) bool { return true }

func (s strategy[T]) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return s.validate(obj.(T))
}

func (s strategy[T]) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return s.validateUpdate(obj.(T), old.(T))
}
