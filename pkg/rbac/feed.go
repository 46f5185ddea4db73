package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	"k8s.io/client-go/tools/cache"
)

// Follow keeps the policy up to date with roles and bindings, once the informers are
// started. Until the policy has all that existed then, it allows nothing, and the function
// that Follow returns reports false. The policy must not be in use yet.
func (p *Policy) Follow(informers rbacinformers.Interface) (synced func() bool, err error) {
	var registrations []cache.ResourceEventHandlerRegistration
	for _, followed := range []struct {
		informer cache.SharedIndexInformer
		set      func(obj any)
		remove   func(namespace, name string)
	}{
		{informers.Roles().Informer(), func(obj any) {
			role := obj.(*rbacv1.Role)
			p.SetRole(role.Namespace, role.Name, role.Rules)
		}, p.DeleteRole},
		{informers.ClusterRoles().Informer(), func(obj any) {
			role := obj.(*rbacv1.ClusterRole)
			p.SetRole("", role.Name, role.Rules)
		}, p.DeleteRole},
		{informers.RoleBindings().Informer(), func(obj any) {
			b := obj.(*rbacv1.RoleBinding)
			p.SetBinding(Binding{Namespace: b.Namespace, Name: b.Name, Subjects: b.Subjects, Role: b.RoleRef})
		}, p.DeleteBinding},
		{informers.ClusterRoleBindings().Informer(), func(obj any) {
			b := obj.(*rbacv1.ClusterRoleBinding)
			p.SetBinding(Binding{Name: b.Name, Subjects: b.Subjects, Role: b.RoleRef})
		}, p.DeleteBinding},
	} {
		registration, err := followed.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    followed.set,
			UpdateFunc: func(_, obj any) { followed.set(obj) },
			DeleteFunc: func(obj any) {
				if name, err := cache.DeletionHandlingObjectToName(obj); err == nil {
					followed.remove(name.Namespace, name.Name)
				}
			},
		})
		if err != nil {
			return nil, err
		}
		registrations = append(registrations, registration)
	}
	p.synced = func() bool {
		for _, registration := range registrations {
			if !registration.HasSynced() {
				return false
			}
		}
		return true
	}
	return p.synced, nil
}
