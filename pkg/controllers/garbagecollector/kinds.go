package garbagecollector

import (
	"slices"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/portolan-dev/portolan/pkg/storage/source"
)

// Kind is a kind of objects.
type Kind struct {
	// Resource is where the objects are read and written.
	Resource   schema.GroupVersionResource
	Namespaced bool
	// Names are the names of the kind, in all versions and API groups that serve it. The first
	// one is that of Resource.
	Names []schema.GroupVersionKind
	// Source has the objects in this process. It is nil for a kind that is watched with the
	// client.
	Source source.Source
	// Ignored leaves the objects alone. They can still be owners.
	Ignored bool
}

// name returns what the kind is called in the graph.
func (k Kind) name() string { return k.Resource.GroupResource().String() }

// custom returns the kind of a definition, if it is served.
func custom(definition *apiextensionsv1.CustomResourceDefinition) (Kind, bool) {
	var versions []string
	for _, v := range definition.Spec.Versions {
		switch {
		case !v.Served:
		case v.Storage:
			// Nothing has to be converted to it.
			versions = slices.Insert(versions, 0, v.Name)
		default:
			versions = append(versions, v.Name)
		}
	}
	if len(versions) == 0 || !apihelpers.IsCRDConditionTrue(definition, apiextensionsv1.Established) {
		return Kind{}, false
	}
	group, names := definition.Spec.Group, definition.Status.AcceptedNames
	kind := Kind{
		Resource:   schema.GroupVersionResource{Group: group, Version: versions[0], Resource: names.Plural},
		Namespaced: definition.Spec.Scope == apiextensionsv1.NamespaceScoped,
	}
	for _, version := range versions {
		kind.Names = append(kind.Names, schema.GroupVersionKind{Group: group, Version: version, Kind: names.Kind})
	}
	return kind, true
}

// kinds are the kinds that are served. It is safe for concurrent use.
type kinds struct {
	mu     sync.RWMutex
	byName map[schema.GroupVersionKind]Kind
	// byResource has the kinds by their names in the graph.
	byResource map[string]Kind
}

func (k *kinds) set(all []Kind) {
	byName, byResource := map[schema.GroupVersionKind]Kind{}, map[string]Kind{}
	for _, kind := range all {
		byResource[kind.name()] = kind
		for _, name := range kind.Names {
			byName[name] = kind
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byName, k.byResource = byName, byResource
}

// of returns the kind that an owner reference means.
func (k *kinds) of(reference metav1.OwnerReference) (Kind, bool) {
	version, err := schema.ParseGroupVersion(reference.APIVersion)
	if err != nil {
		return Kind{}, false
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	kind, served := k.byName[version.WithKind(reference.Kind)]
	return kind, served
}

// named returns the kind that has a name in the graph.
func (k *kinds) named(name string) (Kind, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	kind, served := k.byResource[name]
	return kind, served
}

// resolve is a graph.Resolver.
func (k *kinds) resolve(reference metav1.OwnerReference) (resource string, namespaced, served bool) {
	kind, served := k.of(reference)
	return kind.name(), kind.Namespaced, served
}
