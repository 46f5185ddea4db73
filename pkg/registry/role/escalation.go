package role

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

// Guard keeps users from granting rights that they do not have, as kube-apiserver does
// (pkg/registry/rbac/*/policybased): in the rules of a role, unless they may escalate it,
// and in a binding to a role, unless they may bind it.
type Guard struct {
	Authorizer authorizer.UnconditionalAuthorizer
	// Rules returns the rules that a user has in a namespace, or in the cluster.
	Rules func(who user.Info, namespace string) ([]rbacv1.PolicyRule, error)
	// Referred returns the stored rules of the role that a binding in a namespace, or in the
	// cluster, refers to.
	Referred func(ctx context.Context, namespace string, ref rbacv1.RoleRef) ([]rbacv1.PolicyRule, error)
}

var fullAuthority = []rbacv1.PolicyRule{
	{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}},
	{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}},
}

// Serve returns the storage that serves clients.
func (g *Guard) Serve(store generic.Store) rest.Storage { return &guarded{store, g} }

// guarded is a store whose writes the guard checks.
type guarded struct {
	generic.Store
	guard *Guard
}

// Create implements rest.Creater.
func (s *guarded) Create(ctx context.Context, obj runtime.Object, admit rest.ValidateObjectFunc,
	options *metav1.CreateOptions) (runtime.Object, error) {
	if err := s.guard.check(ctx, obj, nil); err != nil {
		return nil, err
	}
	if removal(obj) != nil {
		// Who fills the store can still be removed.
		state := requeststate.From(ctx)
		state.MayFill = true
		ctx = requeststate.With(ctx, state)
	}
	return s.Store.Create(ctx, obj, admit, options)
}

// Update implements rest.Updater.
func (s *guarded) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	checked := rest.WrapUpdatedObjectInfo(info, func(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
		if onlyOwnersChange(obj, old) && removal(old) == nil {
			return obj, nil
		}
		return obj, s.guard.check(ctx, obj, old)
	})
	return s.Store.Update(ctx, name, checked, create, update, forceAllowCreate, options)
}

// errNobody is the answer to a request without a user.
var errNobody = apierrors.NewUnauthorized("nobody may grant rights")

func privileged(who user.Info) bool {
	return slices.Contains(who.GetGroups(), user.SystemPrivilegedGroup)
}

// check returns an error if the caller may not write an object.
func (g *Guard) check(ctx context.Context, obj, old runtime.Object) error {
	who, ok := apirequest.UserFrom(ctx)
	if !ok {
		return errNobody
	}
	if previous := removal(old); previous != nil {
		if err := g.mayRemove(ctx, who, previous); err != nil {
			return err
		}
	}
	if binding := removal(obj); binding != nil {
		return g.checkRemoval(ctx, who, binding)
	}
	if privileged(who) {
		return nil
	}
	namespace := apirequest.NamespaceValue(ctx)
	switch obj := obj.(type) {
	case *rbacv1.Role:
		return g.checkRole(ctx, who, "roles", obj.Name, namespace, obj.Rules)
	case *rbacv1.ClusterRole:
		if err := g.checkRole(ctx, who, "clusterroles", obj.Name, "", obj.Rules); err != nil {
			return err
		}
		previous, _ := old.(*rbacv1.ClusterRole)
		if aggregates(obj) || aggregates(previous) {
			return g.checkAggregation(ctx, who, obj.Name)
		}
	case *rbacv1.RoleBinding:
		return g.checkBinding(ctx, who, "rolebindings", obj.Name, namespace, obj.RoleRef)
	case *rbacv1.ClusterRoleBinding:
		return g.checkBinding(ctx, who, "clusterrolebindings", obj.Name, "", obj.RoleRef)
	}
	return nil
}

func (g *Guard) checkRole(ctx context.Context, who user.Info, resource, name, namespace string, rules []rbacv1.PolicyRule) error {
	if g.mayEscalate(ctx, who, resource) {
		return nil
	}
	return forbidden(resource, name, g.confirm(who, namespace, rules))
}

// checkAggregation requires full authority for a role that gathers the rules of others.
func (g *Guard) checkAggregation(ctx context.Context, who user.Info, name string) error {
	if g.mayEscalate(ctx, who, "clusterroles") || g.confirm(who, "", fullAuthority) == nil {
		return nil
	}
	return forbidden("clusterroles", name, errors.New("must have cluster-admin privileges to use the aggregationRule"))
}

func (g *Guard) checkBinding(ctx context.Context, who user.Info, resource, name, namespace string, ref rbacv1.RoleRef) error {
	if g.mayBind(ctx, who, namespace, ref) {
		return nil
	}
	rules, err := g.Referred(ctx, namespace, ref)
	if err != nil {
		return err
	}
	return forbidden(resource, name, g.confirm(who, namespace, rules))
}

func (g *Guard) mayBind(ctx context.Context, who user.Info, namespace string, ref rbacv1.RoleRef) bool {
	roles := map[string]string{"Role": "roles", "ClusterRole": "clusterroles"}
	role, known := roles[ref.Kind]
	return known && g.allowed(ctx, authorizer.AttributesRecord{
		User: who, Verb: "bind", Namespace: namespace, APIGroup: ref.APIGroup, APIVersion: "*", Resource: role, Name: ref.Name,
		ResourceRequest: true,
	})
}

// mayEscalate reports whether the caller may grant rights in the role that the request
// names. The request of a collection names none.
func (g *Guard) mayEscalate(ctx context.Context, who user.Info, resource string) bool {
	info, ok := apirequest.RequestInfoFrom(ctx)
	return ok && info.IsResourceRequest && info.Resource == resource && g.allowed(ctx, authorizer.AttributesRecord{
		User: who, Verb: "escalate", Namespace: info.Namespace, APIGroup: info.APIGroup, APIVersion: "*", Resource: info.Resource,
		Name: info.Name, ResourceRequest: true,
	})
}

func (g *Guard) allowed(ctx context.Context, a authorizer.AttributesRecord) bool {
	decision, _, err := g.Authorizer.Authorize(ctx, a)
	return err == nil && decision == authorizer.DecisionAllow
}

// confirm returns an error that names the rules which a user does not have.
func (g *Guard) confirm(who user.Info, namespace string, rules []rbacv1.PolicyRule) error {
	own, err := g.Rules(who, namespace)
	if !mayCompare(own, rules) {
		return fmt.Errorf("the rules have too many combinations of API groups, resources, names and verbs "+
			"to compare them with the rights of user %q", who.GetName())
	}
	covered, missing := validation.Covers(own, rules)
	if covered {
		return nil
	}
	var lines []string
	for _, rule := range compact(missing) {
		lines = append(lines, describe(rule))
	}
	slices.Sort(lines)
	text := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s", who.GetName(), who.GetGroups(),
		strings.Join(slices.Compact(lines), "\n"))
	if err != nil {
		text += fmt.Sprintf("; resolution errors: %v", []error{err})
	}
	return errors.New(text)
}

func aggregates(role *rbacv1.ClusterRole) bool {
	return role != nil && role.AggregationRule != nil && len(role.AggregationRule.ClusterRoleSelectors) > 0
}

// onlyOwnersChange reports whether an update changes only what garbage collection does.
func onlyOwnersChange(obj, old runtime.Object) bool {
	previous, err := meta.Accessor(old)
	if err != nil || previous.GetResourceVersion() == "" {
		return false
	}
	same := obj.DeepCopyObject()
	object, err := meta.Accessor(same)
	if err != nil {
		return false
	}
	object.SetOwnerReferences(previous.GetOwnerReferences())
	object.SetFinalizers(previous.GetFinalizers())
	object.SetManagedFields(previous.GetManagedFields())
	return equality.Semantic.DeepEqual(same, old)
}

func forbidden(resource, name string, err error) error {
	if err == nil {
		return nil
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: rbacv1.GroupName, Resource: resource}, name, err)
}
