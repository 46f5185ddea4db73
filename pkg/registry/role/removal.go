package role

import (
	"context"
	"errors"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/apis/core/validation"
	"github.com/portolan-dev/portolan/pkg/users"
)

// removal returns a binding if it removes users. Other bindings only grant rights. This one
// takes them away, and who deletes it gives them back, so that every write of it needs the
// right to bind its role.
func removal(obj runtime.Object) *rbacv1.ClusterRoleBinding {
	binding, ok := obj.(*rbacv1.ClusterRoleBinding)
	if !ok || binding == nil || binding.RoleRef.Kind != "ClusterRole" || binding.RoleRef.Name != users.Removed {
		return nil
	}
	return binding
}

// validateRoleBinding rejects a new RoleBinding that looks as if it removed users.
func validateRoleBinding(binding *rbacv1.RoleBinding) field.ErrorList {
	errs := validation.ValidateRoleBinding(binding)
	if binding.RoleRef.Kind == "ClusterRole" && binding.RoleRef.Name == users.Removed {
		errs = append(errs, field.Forbidden(field.NewPath("roleRef", "name"), "only a ClusterRoleBinding can remove users"))
	}
	return errs
}

// checkRemoval returns an error if the caller may not write a binding that removes users, or
// if it would remove more than it says or the caller itself.
func (g *Guard) checkRemoval(ctx context.Context, who user.Info, binding *rbacv1.ClusterRoleBinding) error {
	var errs field.ErrorList
	for i, subject := range binding.Subjects {
		path := field.NewPath("subjects").Index(i)
		switch {
		case subject.Kind != rbacv1.UserKind:
			errs = append(errs, field.NotSupported(path.Child("kind"), subject.Kind, []string{rbacv1.UserKind}))
		case subject.Name == user.APIServerUser:
			errs = append(errs, field.Forbidden(path.Child("name"), "the server itself cannot be removed"))
		case subject.Name == who.GetName():
			errs = append(errs, field.Forbidden(path.Child("name"), "users cannot remove themselves"))
		}
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding").GroupKind(), binding.Name, errs)
	}
	return g.mayRemove(ctx, who, binding)
}

func (g *Guard) mayRemove(ctx context.Context, who user.Info, binding *rbacv1.ClusterRoleBinding) error {
	if privileged(who) || g.mayBind(ctx, who, "", binding.RoleRef) {
		return nil
	}
	return forbidden("clusterrolebindings", binding.Name, errors.New("only those who may bind the ClusterRole "+users.Removed+
		" may remove users or undo it"))
}

// Delete implements rest.GracefulDeleter.
func (s *guarded) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object,
	bool, error) {
	return s.Store.Delete(ctx, name, s.guard.deletion(validate), options)
}

// DeleteCollection implements rest.CollectionDeleter.
func (s *guarded) DeleteCollection(ctx context.Context, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions,
	list *metainternalversion.ListOptions) (runtime.Object, error) {
	return s.Store.DeleteCollection(ctx, s.guard.deletion(validate), options, list)
}

// deletion adds a check to those of each object that a request deletes.
func (g *Guard) deletion(validate rest.ValidateObjectFunc) rest.ValidateObjectFunc {
	return func(ctx context.Context, obj runtime.Object) error {
		if binding := removal(obj); binding != nil {
			who, ok := apirequest.UserFrom(ctx)
			if !ok {
				return errNobody
			}
			if err := g.mayRemove(ctx, who, binding); err != nil {
				return err
			}
		}
		if validate == nil {
			return nil
		}
		return validate(ctx, obj)
	}
}
