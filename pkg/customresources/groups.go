package customresources

import (
	"slices"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	informers "k8s.io/apiextensions-apiserver/pkg/client/informers/externalversions/apiextensions/v1"
	listers "k8s.io/apiextensions-apiserver/pkg/client/listers/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/endpoints/discovery"
	"k8s.io/client-go/tools/cache"
)

// groups adds the API groups of custom resources to the list of groups that clients get which
// do not ask for aggregated discovery. In a cluster, kube-aggregator does so.
type groups struct {
	definitions listers.CustomResourceDefinitionLister
	list        discovery.GroupManager

	mu    sync.Mutex
	added sets.Set[string]
}

// follow keeps the groups of the definitions in a list.
func follow(definitions informers.CustomResourceDefinitionInformer, list discovery.GroupManager) error {
	g := &groups{definitions: definitions.Lister(), list: list, added: sets.New[string]()}
	_, err := definitions.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { g.update() },
		UpdateFunc: func(any, any) { g.update() },
		DeleteFunc: func(any) { g.update() },
	})
	return err
}

func (g *groups) update() {
	definitions, err := g.definitions.List(labels.Everything())
	if err != nil {
		return
	}
	versions := map[string]sets.Set[string]{}
	for _, definition := range definitions {
		if !apihelpers.IsCRDConditionTrue(definition, apiextensionsv1.Established) {
			continue
		}
		for _, v := range definition.Spec.Versions {
			if v.Served {
				group := definition.Spec.Group
				if versions[group] == nil {
					versions[group] = sets.New[string]()
				}
				versions[group].Insert(v.Name)
			}
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for group := range g.added.Difference(sets.KeySet(versions)) {
		g.list.RemoveGroup(group)
	}
	for group, names := range versions {
		g.list.AddGroup(newGroup(group, names.UnsortedList()))
	}
	g.added = sets.KeySet(versions)
}

// newGroup returns a group that prefers its newest stable version, as upstream does.
func newGroup(name string, versions []string) metav1.APIGroup {
	slices.SortFunc(versions, func(a, b string) int { return version.CompareKubeAwareVersionStrings(b, a) })
	group := metav1.APIGroup{Name: name}
	for _, v := range versions {
		group.Versions = append(group.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + v, Version: v})
	}
	group.PreferredVersion = group.Versions[0]
	return group
}
