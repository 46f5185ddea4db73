package rbac

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Policy is an index of roles and bindings. It is safe for concurrent use. The objects
// that it is given must not change afterwards.
type Policy struct {
	mu       sync.RWMutex
	roles    map[key][]rbacv1.PolicyRule
	bindings map[key]*Binding
	// bySubject are the bindings by scope and subject.
	bySubject map[subject]map[key]*Binding
	// synced reports whether the policy has all roles and bindings. Nil is true.
	synced func() bool
}

// ErrUnknown means that the policy does not have all roles and bindings yet. It allows
// nothing before.
var ErrUnknown = errors.New("roles and bindings have not been read yet")

func (p *Policy) unknown() bool { return p.synced != nil && !p.synced() }

// key names a role or a binding. The namespace of ClusterRoles and ClusterRoleBindings is
// empty.
type key struct{ namespace, name string }

// subject is a user or a group, as the bindings of one namespace name it. The namespace is
// empty for the bindings of the cluster. ServiceAccounts are users.
type subject struct{ namespace, kind, name string }

// Binding is a RoleBinding or, if it has no namespace, a ClusterRoleBinding.
type Binding struct {
	Namespace, Name string
	Subjects        []rbacv1.Subject
	Role            rbacv1.RoleRef
}

// NewPolicy returns an empty index.
func NewPolicy() *Policy {
	return &Policy{roles: map[key][]rbacv1.PolicyRule{}, bindings: map[key]*Binding{}, bySubject: map[subject]map[key]*Binding{}}
}

// SetRole sets the rules of a Role or, without a namespace, of a ClusterRole.
func (p *Policy) SetRole(namespace, name string, rules []rbacv1.PolicyRule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.roles[key{namespace, name}] = rules
}

// DeleteRole deletes a Role or a ClusterRole.
func (p *Policy) DeleteRole(namespace, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.roles, key{namespace, name})
}

// SetBinding adds a binding, or replaces the one of its name.
func (p *Policy) SetBinding(b Binding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := key{b.Namespace, b.Name}
	p.deleteBinding(k)
	p.bindings[k] = &b
	for _, named := range b.Subjects {
		s, ok := b.subject(named)
		if !ok {
			continue
		}
		if p.bySubject[s] == nil {
			p.bySubject[s] = map[key]*Binding{}
		}
		p.bySubject[s][k] = &b
	}
}

// DeleteBinding deletes a binding.
func (p *Policy) DeleteBinding(namespace, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deleteBinding(key{namespace, name})
}

func (p *Policy) deleteBinding(k key) {
	b, found := p.bindings[k]
	if !found {
		return
	}
	delete(p.bindings, k)
	for _, named := range b.Subjects {
		if s, ok := b.subject(named); ok {
			delete(p.bySubject[s], k)
			if len(p.bySubject[s]) == 0 {
				delete(p.bySubject, s)
			}
		}
	}
}

// subject returns what a subject of the binding matches. It is false for one that matches
// nobody.
func (b *Binding) subject(named rbacv1.Subject) (subject, bool) {
	switch named.Kind {
	case rbacv1.UserKind, rbacv1.GroupKind:
		return subject{b.Namespace, named.Kind, named.Name}, true
	case rbacv1.ServiceAccountKind:
		namespace := cmp.Or(named.Namespace, b.Namespace)
		return subject{b.Namespace, rbacv1.UserKind, serviceaccount.MakeUsername(namespace, named.Name)}, namespace != ""
	}
	return subject{}, false
}

// of returns the bindings of one namespace, or of the cluster, that apply to a user,
// ordered by name.
func (p *Policy) of(who user.Info, namespace string) []*Binding {
	var bindings []*Binding
	add := func(kind, name string) {
		for _, b := range p.bySubject[subject{namespace, kind, name}] {
			bindings = append(bindings, b)
		}
	}
	add(rbacv1.UserKind, who.GetName())
	for _, group := range who.GetGroups() {
		add(rbacv1.GroupKind, group)
	}
	slices.SortFunc(bindings, func(a, b *Binding) int { return cmp.Compare(a.Name, b.Name) })
	return slices.Compact(bindings)
}

// visit calls visitor with each rule that applies to a user in a namespace, or in the
// cluster if the namespace is empty, and with each error of a binding whose role is
// missing, until visitor returns false.
func (p *Policy) visit(who user.Info, namespace string, visitor func(b *Binding, rule *rbacv1.PolicyRule, err error) bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	scopes := []string{"", namespace}
	if namespace == "" {
		scopes = scopes[:1]
	}
	for _, scope := range scopes {
		for _, b := range p.of(who, scope) {
			rules, err := p.rules(b.Namespace, b.Role)
			if err != nil && !visitor(b, nil, err) {
				return
			}
			for i := range rules {
				if !visitor(b, &rules[i], nil) {
					return
				}
			}
		}
	}
}

// rules returns the rules of the role that a binding in a namespace refers to.
func (p *Policy) rules(namespace string, ref rbacv1.RoleRef) ([]rbacv1.PolicyRule, error) {
	k, singular := key{namespace, ref.Name}, "role"
	switch ref.Kind {
	case "Role":
	case "ClusterRole":
		k, singular = key{name: ref.Name}, "clusterrole"
	default:
		return nil, fmt.Errorf("unsupported role reference kind: %q", ref.Kind)
	}
	rules, found := p.roles[k]
	if !found || k.namespace == "" && ref.Kind == "Role" {
		return nil, apierrors.NewNotFound(rbacv1.Resource(singular), ref.Name)
	}
	return rules, nil
}

// RulesOf returns the rules of the role that a binding in a namespace, or in the cluster,
// refers to.
func (p *Policy) RulesOf(namespace string, ref rbacv1.RoleRef) ([]rbacv1.PolicyRule, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.rules(namespace, ref)
}

// Describe names the binding, its role and the first of its subjects that is a user or one
// of the user's groups, as kube-apiserver does in its reasons.
func (b *Binding) describe(who user.Info) string {
	kind, name := "ClusterRoleBinding", b.Name
	if b.Namespace != "" {
		kind, name = "RoleBinding", b.Name+"/"+b.Namespace
	}
	text := fmt.Sprintf("%s %q of %s %q", kind, name, b.Role.Kind, b.Role.Name)
	for _, named := range b.Subjects {
		s, ok := b.subject(named)
		if !ok || s.name != who.GetName() && s.kind == rbacv1.UserKind ||
			s.kind == rbacv1.GroupKind && !slices.Contains(who.GetGroups(), s.name) {
			continue
		}
		name := named.Name
		if named.Kind == rbacv1.ServiceAccountKind {
			name += "/" + cmp.Or(named.Namespace, b.Namespace)
		}
		return fmt.Sprintf("%s to %s %q", text, named.Kind, name)
	}
	return text
}
