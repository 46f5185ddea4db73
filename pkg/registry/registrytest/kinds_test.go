package registrytest

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/portolan-dev/portolan/pkg/registry"
)

// TestKinds checks that the rows agree with their strategies and with each other.
func TestKinds(t *testing.T) {
	var emptied []int
	served := map[schema.GroupVersionResource]bool{}
	names := map[string]bool{}
	for _, kind := range registry.Kinds() {
		t.Run(kind.Resource.Resource, func(t *testing.T) {
			if kind.Singular == "" || kind.Table == nil || len(kind.Groups) == 0 {
				t.Error("the row has no singular name, no table or no group")
			}
			if kind.Groups[0].Group != kind.Resource.Group {
				t.Errorf("the first group is %q, not the kind's own", kind.Groups[0].Group)
			}
			if object, list := fmt.Sprintf("%T", kind.New()), fmt.Sprintf("%T", kind.NewList()); list != object+"List" {
				t.Errorf("lists of %s are %s", object, list)
			}
			if namespaced := kind.Rules(registry.Inputs{}).Strategy.NamespaceScoped(); namespaced != (kind.DeletionOrder > 0) {
				t.Errorf("namespaced: %v, emptied at position %d", namespaced, kind.DeletionOrder)
			}
			for _, group := range kind.Groups {
				resource := group.WithResource(kind.Resource.Resource)
				if served[resource] {
					t.Errorf("%s is served twice", resource)
				}
				served[resource] = true
				for _, name := range group.Names.Short {
					name += " of " + group.Group
					if names[name] {
						t.Errorf("the short name %s is taken", name)
					}
					names[name] = true
				}
			}
		})
		if kind.DeletionOrder > 0 {
			emptied = append(emptied, kind.DeletionOrder)
		}
	}
	slices.Sort(emptied)
	for i, position := range emptied {
		if position != i+1 {
			t.Fatalf("namespaces are emptied at the positions %v", emptied)
		}
	}
}
