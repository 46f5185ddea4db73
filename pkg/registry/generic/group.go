package generic

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Names are the other names that a client may use for a resource.
type Names struct {
	// Short names, such as svc.
	Short []string
	// Sets are the categories that contain the resource, such as all.
	Sets []string
}

// ShortNames implements rest.ShortNamesProvider.
func (n Names) ShortNames() []string { return n.Short }

// Categories implements rest.CategoriesProvider.
func (n Names) Categories() []string { return n.Sets }

// Group is an API group that serves a kind.
type Group struct {
	schema.GroupVersion
	Names Names
	// Table replaces the kind's own table.
	Table rest.TableConvertor
	// KeepKind makes errors about invalid objects name the kind in its own group
	// instead of this one.
	KeepKind bool
}

// ServedAs returns the store as a group serves it: with the same objects and rules, and
// errors that name the group.
func (s Store) ServedAs(group Group) Store {
	store := *s.Store
	store.DefaultQualifiedResource.Group = group.Group
	store.SingularQualifiedResource.Group = group.Group
	if !group.KeepKind {
		store.CreateStrategy = createStrategy{store.CreateStrategy, group.Group}
		store.UpdateStrategy = updateStrategy{store.UpdateStrategy, group.Group}
		store.DeleteStrategy = deleteStrategy{store.DeleteStrategy, group.Group}
	}
	if group.Table != nil {
		store.TableConvertor = group.Table
	}
	served := s
	served.Store, served.Names = &store, group.Names
	return served
}

// The strategies of a group. The generic registry uses the first kind that they return for
// an object.
type (
	createStrategy struct {
		rest.RESTCreateStrategy
		group string
	}
	updateStrategy struct {
		rest.RESTUpdateStrategy
		group string
	}
	deleteStrategy struct {
		rest.RESTDeleteStrategy
		group string
	}
)

// ObjectKinds implements runtime.ObjectTyper.
func (s createStrategy) ObjectKinds(obj runtime.Object) ([]schema.GroupVersionKind, bool, error) {
	return kindsIn(s.group, s.RESTCreateStrategy, obj)
}

// ObjectKinds implements runtime.ObjectTyper.
func (s updateStrategy) ObjectKinds(obj runtime.Object) ([]schema.GroupVersionKind, bool, error) {
	return kindsIn(s.group, s.RESTUpdateStrategy, obj)
}

// ObjectKinds implements runtime.ObjectTyper.
func (s deleteStrategy) ObjectKinds(obj runtime.Object) ([]schema.GroupVersionKind, bool, error) {
	return kindsIn(s.group, s.RESTDeleteStrategy, obj)
}

// kindsIn returns the kinds of an object in a group.
func kindsIn(group string, typer runtime.ObjectTyper, obj runtime.Object) ([]schema.GroupVersionKind, bool, error) {
	kinds, unversioned, err := typer.ObjectKinds(obj)
	if err != nil {
		return nil, false, err
	}
	kinds = slices.DeleteFunc(slices.Clone(kinds), func(kind schema.GroupVersionKind) bool { return kind.Group != group })
	if len(kinds) == 0 {
		return nil, false, runtime.NewNotRegisteredErrForTarget("the store's scheme", nil, schema.GroupVersion{Group: group})
	}
	return kinds, unversioned, nil
}
