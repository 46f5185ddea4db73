package base

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Names are what clients may call a resource, besides its own name: short ones,
// and those of the sets that it is in.
type Names struct {
	Short, Sets []string
}

// ShortNames implements rest.ShortNamesProvider.
func (n Names) ShortNames() []string { return n.Short }

// Categories implements rest.CategoriesProvider.
func (n Names) Categories() []string { return n.Sets }

// Door is how another API group than its own serves a store.
type Door struct {
	Group string
	Names Names
	// Table shows what the store's own does where it is nil.
	Table rest.TableConvertor
}

// At is the store at another door: the same objects and the same rules, but
// what is refused is refused in the names of the door's group.
func (s Store) At(door Door) Store {
	store := *s.Store
	store.DefaultQualifiedResource.Group = door.Group
	store.SingularQualifiedResource.Group = door.Group
	store.CreateStrategy = createStrategy{store.CreateStrategy, door.Group}
	store.UpdateStrategy = updateStrategy{store.UpdateStrategy, door.Group}
	store.DeleteStrategy = deleteStrategy{store.DeleteStrategy, door.Group}
	if door.Table != nil {
		store.TableConvertor = door.Table
	}
	return Store{Store: &store, Names: door.Names}
}

// The strategies of a door. The generic registry asks them of what kind an
// object is, and goes by the first answer.
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

// kindsIn are an object's kinds in a group.
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
