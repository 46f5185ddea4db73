package registry

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
	"github.com/portolan-dev/portolan/pkg/registry/role"
)

// Rights returns the rules that a user has in a namespace or, without one, in the cluster.
type Rights func(who user.Info, namespace string) ([]rbacv1.PolicyRule, error)

// roleKinds returns the kinds of rbac.authorization.k8s.io.
func roleKinds() []Kind {
	groups := []generic.Group{{GroupVersion: rbacv1.SchemeGroupVersion}}
	return []Kind{
		{
			Kind: generic.Kind{
				Resource: rbacv1.Resource("roles"), Singular: "role",
				New: object[rbacv1.Role], NewList: object[rbacv1.RoleList], Table: role.Table,
			},
			Rules: plain(role.Rules), Groups: groups, Serve: guardRights, DeletionOrder: 9,
		},
		{
			Kind: generic.Kind{
				Resource: rbacv1.Resource("clusterroles"), Singular: "clusterrole",
				New: object[rbacv1.ClusterRole], NewList: object[rbacv1.ClusterRoleList], Table: role.ClusterTable,
			},
			Rules: plain(role.ClusterRules), Groups: groups, Serve: guardRights,
		},
		{
			Kind: generic.Kind{
				Resource: rbacv1.Resource("rolebindings"), Singular: "rolebinding",
				New: object[rbacv1.RoleBinding], NewList: object[rbacv1.RoleBindingList], Table: role.BindingTable,
			},
			Rules: plain(role.BindingRules), Groups: groups, Serve: guardRights, DeletionOrder: 10,
		},
		{
			Kind: generic.Kind{
				Resource: rbacv1.Resource("clusterrolebindings"), Singular: "clusterrolebinding",
				New: object[rbacv1.ClusterRoleBinding], NewList: object[rbacv1.ClusterRoleBindingList], Table: role.ClusterBindingTable,
			},
			Rules: plain(role.ClusterBindingRules), Groups: groups, Serve: guardRights,
		},
	}
}

// guardRights keeps users from granting rights that they do not have. The rules of the role of
// a binding are read from the store, because the policy may not have them yet.
func guardRights(store generic.Store, s *Storage, in Inputs) rest.Storage {
	guard := &role.Guard{Authorizer: in.Authorizer, Rules: in.Rights}
	guard.Referred = func(ctx context.Context, namespace string, ref rbacv1.RoleRef) ([]rbacv1.PolicyRule, error) {
		roles := s.Store(rbacv1.Resource("clusterroles"))
		if ref.Kind == "Role" {
			roles = s.Store(rbacv1.Resource("roles"))
		} else {
			namespace = metav1.NamespaceNone
		}
		obj, err := roles.Get(apirequest.WithNamespace(ctx, namespace), ref.Name, &metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		switch found := obj.(type) {
		case *rbacv1.Role:
			return found.Rules, nil
		case *rbacv1.ClusterRole:
			return found.Rules, nil
		}
		return nil, apierrors.NewNotFound(roles.DefaultQualifiedResource, ref.Name)
	}
	return guard.Serve(store)
}
