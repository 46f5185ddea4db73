package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// grants are the roles of a new user.
type grants struct {
	clusterRoles, roles []string
	namespace           string
}

func (g *grants) empty() bool { return len(g.clusterRoles)+len(g.roles) == 0 }

func (g *grants) validate() error {
	switch {
	case len(g.roles) > 0 && g.namespace == "":
		return errors.New("--role: a Role belongs to a namespace: name it with --namespace")
	case g.empty() && g.namespace != "":
		return errors.New("--namespace: name a role too, with --role or --cluster-role")
	}
	return nil
}

// bind gives a user the roles. It warns of those that do not exist. What is there already
// stays, so that the command can be repeated.
func (g *grants) bind(ctx context.Context, client kubernetes.Interface, warnings io.Writer, user string) error {
	bindOne := func(kind, role string, missing error) error {
		if apierrors.IsNotFound(missing) {
			fmt.Fprintf(warnings, "Warning: there is no %s %q: %s has no rights by it until there is\n", kind, role, user)
		} else if missing != nil {
			return missing
		}
		if err := g.create(ctx, client, user, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}); err != nil {
			return fmt.Errorf("binding %s to the %s %q: %w", user, kind, role, err)
		}
		return nil
	}
	for _, role := range g.clusterRoles {
		_, err := client.RbacV1().ClusterRoles().Get(ctx, role, metav1.GetOptions{})
		if err := bindOne("ClusterRole", role, err); err != nil {
			return err
		}
	}
	for _, role := range g.roles {
		_, err := client.RbacV1().Roles(g.namespace).Get(ctx, role, metav1.GetOptions{})
		if err := bindOne("Role", role, err); err != nil {
			return err
		}
	}
	return nil
}

// create creates a binding, in the namespace or in the cluster, unless it is there already.
func (g *grants) create(ctx context.Context, client kubernetes.Interface, user string, ref rbacv1.RoleRef) error {
	meta := metav1.ObjectMeta{Name: bindingName("user", user) + ":" + ref.Kind + ":" + ref.Name, Namespace: g.namespace}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
	same := func(found rbacv1.RoleRef, of []rbacv1.Subject) bool {
		return found == ref && equality.Semantic.DeepEqual(of, subjects)
	}
	if g.namespace == "" {
		bindings := client.RbacV1().ClusterRoleBindings()
		_, err := bindings.Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			if found, getErr := bindings.Get(ctx, meta.Name, metav1.GetOptions{}); getErr == nil && same(found.RoleRef, found.Subjects) {
				return nil
			}
		}
		return err
	}
	bindings := client.RbacV1().RoleBindings(g.namespace)
	_, err := bindings.Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		if found, getErr := bindings.Get(ctx, meta.Name, metav1.GetOptions{}); getErr == nil && same(found.RoleRef, found.Subjects) {
			return nil
		}
	}
	return err
}
