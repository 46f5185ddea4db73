// Package removed ends the rights of users whose certificates or tokens are still valid.
//
// A ClusterRoleBinding to the ClusterRole users.Removed names removed users. The bindings
// are the record, so that all replicas of a store agree. Users is an index of them. It is
// an authorizer that denies the requests of these users before any other authorizer is
// asked, and a filter that ends their open watches and writes, also those in the name of
// users that they impersonate (filter.go). Package registry/role restricts who may write
// such bindings.
package removed

import (
	"context"
	"errors"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/portolan-dev/portolan/pkg/rbac"
	"github.com/portolan-dev/portolan/pkg/users"
)

// errRemoved is why an open request ends.
var errRemoved = errors.New("the user was removed")

// Users is an index of removed users. It is safe for concurrent use.
type Users struct {
	mu sync.RWMutex
	// names are the removed users, by the binding that names them.
	names map[string][]string
	// bindings is how many bindings name each user.
	bindings map[string]int
	// open ends the open requests of users.
	open map[string]map[*context.CancelCauseFunc]bool
	// synced reports whether all bindings are known.
	synced func() bool
}

// New returns an empty index. Until it follows bindings and has read them, it denies
// everything.
func New() *Users {
	return &Users{
		names: map[string][]string{}, bindings: map[string]int{}, open: map[string]map[*context.CancelCauseFunc]bool{},
		synced: func() bool { return false },
	}
}

// Names returns the users that a ClusterRoleBinding removes.
func Names(binding *rbacv1.ClusterRoleBinding) (names []string) {
	if binding == nil || binding.RoleRef.Kind != "ClusterRole" || binding.RoleRef.Name != users.Removed {
		return nil
	}
	for _, subject := range binding.Subjects {
		if subject.Kind == rbacv1.UserKind {
			names = append(names, subject.Name)
		}
	}
	return names
}

// Follow keeps the index up to date, once the informer is started. It must be called
// before the index is used.
func (u *Users) Follow(informer rbacinformers.ClusterRoleBindingInformer) error {
	set := func(obj any) {
		binding := obj.(*rbacv1.ClusterRoleBinding)
		u.set(binding.Name, Names(binding))
	}
	registration, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if name, err := cache.DeletionHandlingObjectToName(obj); err == nil {
				u.set(name.Name, nil)
			}
		},
	})
	if err != nil {
		return err
	}
	u.synced = registration.HasSynced
	return nil
}

// HasSynced reports whether the index has all bindings.
func (u *Users) HasSynced() bool { return u.synced() }

// OnlyRemoved is a cache.TransformFunc. It drops the contents of other bindings, which the
// index does not need.
func OnlyRemoved(obj any) (any, error) {
	if binding, ok := obj.(*rbacv1.ClusterRoleBinding); ok && binding.RoleRef.Name != users.Removed {
		trimmed := &rbacv1.ClusterRoleBinding{}
		trimmed.Name, trimmed.ResourceVersion = binding.Name, binding.ResourceVersion
		return trimmed, nil
	}
	return obj, nil
}

// set records the users that a binding names, and ends their open requests.
func (u *Users) set(binding string, names []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, name := range u.names[binding] {
		if u.bindings[name]--; u.bindings[name] == 0 {
			delete(u.bindings, name)
		}
	}
	delete(u.names, binding)
	if len(names) > 0 {
		u.names[binding] = names
	}
	for _, name := range names {
		u.bindings[name]++
		for cancel := range u.open[name] {
			(*cancel)(errRemoved)
		}
	}
}

// ConditionsAwareAuthorize implements authorizer.Authorizer.
func (u *Users) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(u.Authorize(ctx, a))
}

// EvaluateConditions implements authorizer.Authorizer.
func (u *Users) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision,
	authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// Authorize denies the requests of removed users, and has no opinion about others. The
// server itself cannot be removed, since it could then not read the bindings.
func (u *Users) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	who := a.GetUser()
	if who == nil || who.GetName() == user.APIServerUser {
		return authorizer.DecisionNoOpinion, "", nil
	}
	if !u.synced() {
		return authorizer.DecisionDeny, "", rbac.ErrUnknown
	}
	if u.has(who.GetName()) {
		return authorizer.DecisionDeny, errRemoved.Error(), nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// has reports whether a user is removed.
func (u *Users) has(name string) bool {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.bindings[name] > 0 && name != user.APIServerUser
}
