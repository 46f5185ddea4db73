package garbage

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestOwners has objects with references of every sort, right and wrong.
func TestOwners(t *testing.T) {
	t.Parallel()
	s := framework.StartAll(t, nil)
	c := clientOf(t, s.Config)
	for name, test := range map[string]func(*testing.T, collector){
		"two owners": testTwoOwners, "wrong": testWrongReferences, "unknown kind": testUnknownKind,
		"other namespace": testOtherNamespace, "groups": testGroups, "chain": testChain, "circle": testCircle, "cluster": testClusterScoped,
		"custom": testCustomKinds,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, c)
		})
	}
}

// testTwoOwners removes the reference to the first owner that goes, and deletes the object with
// the last one.
func testTwoOwners(t *testing.T, c collector) {
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground} {
		name := map[metav1.DeletionPropagation]string{"Background": "b", "Foreground": "f"}[policy]
		first, second := c.create(t, configMaps, "first-"+name, nil), c.create(t, services, "second-"+name, nil)
		c.create(t, configMaps, "both-"+name, nil, owner(first), owner(second))
		c.delete(t, configMaps, first.GetName(), policy)
		c.awaitGone(t, configMaps, first.GetName())
		c.awaitOwners(t, configMaps, "both-"+name, second.GetName())
		c.delete(t, services, second.GetName(), policy)
		c.awaitGone(t, configMaps, "both-"+name)
	}
}

// testWrongReferences collects objects whose references name nobody: another UID, another name
// or another kind than those of an object that exists.
func testWrongReferences(t *testing.T, c collector) {
	exists := c.create(t, configMaps, "exists", nil)
	c.create(t, configMaps, "right", nil, owner(exists))
	for name, change := range map[string]func(*metav1.OwnerReference){
		"wrong-uid":  func(r *metav1.OwnerReference) { r.UID = "other" },
		"wrong-name": func(r *metav1.OwnerReference) { r.Name = "other" },
		"wrong-kind": func(r *metav1.OwnerReference) { r.Kind = "Secret" },
	} {
		reference := owner(exists)
		change(&reference)
		c.create(t, configMaps, name, nil, reference)
		c.create(t, configMaps, name+"-too", nil, reference, owner(exists))
		c.awaitGone(t, configMaps, name)
		c.awaitOwners(t, configMaps, name+"-too", "exists")
	}
	c.awaitOwners(t, configMaps, "right", "exists")
}

// testUnknownKind leaves objects alone whose owner may exist elsewhere.
func testUnknownKind(t *testing.T, c collector) {
	set := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "web"}
	gone := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "gone", UID: "gone"}
	c.create(t, configMaps, "of-a-set", nil, set)
	c.create(t, configMaps, "of-a-set-too", nil, set, gone)
	// An orphan loses the owner that it is orphaned from, and no other.
	o := c.create(t, configMaps, "orphans-one", nil)
	c.create(t, configMaps, "of-a-set-and-it", nil, set, owner(o))
	c.awaitTurn(t, configMaps, "turn-of-orphans")
	c.delete(t, configMaps, "orphans-one", metav1.DeletePropagationOrphan)
	c.awaitOwners(t, configMaps, "of-a-set-and-it", "web")
	c.awaitTurn(t, configMaps, "turn-of-unknown")
	c.awaitOwners(t, configMaps, "of-a-set", "web")
	c.awaitOwners(t, configMaps, "of-a-set-too", "web", "gone")
}

// testOtherNamespace reports references across namespaces.
func testOtherNamespace(t *testing.T, c collector) {
	o := c.create(t, configMaps, "in-default", nil)
	c.create(t, clusterRoles, "of-a-configmap", nil, owner(o))
	c.awaitEvent(t, "of-a-configmap", `does not exist in namespace ""`)
	c.delete(t, configMaps, "in-default", metav1.DeletePropagationBackground)
	c.awaitTurn(t, configMaps, "turn-of-namespaces")
	c.awaitOwners(t, clusterRoles, "of-a-configmap", "in-default")
	orphans := c.create(t, configMaps, "orphans-a-role", nil)
	c.create(t, clusterRoles, "orphan-of-a-configmap", nil, owner(orphans))
	c.awaitTurn(t, clusterRoles, "turn-of-roles")
	c.delete(t, configMaps, "orphans-a-role", metav1.DeletePropagationOrphan)
	c.awaitGone(t, configMaps, "orphans-a-role")
	c.awaitOwners(t, clusterRoles, "orphan-of-a-configmap")

	version, _ := schema.ParseGroupVersion(configMaps.version)
	system := c.client.Resource(version.WithResource(configMaps.resource)).Namespace(metav1.NamespaceSystem)
	there, err := system.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "there"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.create(t, configMaps, "of-another-namespace", nil, owner(there))
	c.awaitEvent(t, "of-another-namespace", `does not exist in namespace "default"`)
	c.awaitGone(t, configMaps, "of-another-namespace")
	if _, err := system.Get(t.Context(), "there", metav1.GetOptions{}); err != nil {
		t.Errorf("the owner: %v", err)
	}
}

func (c collector) awaitEvent(t *testing.T, name, message string) {
	t.Helper()
	events := kind{version: "v1", kind: "Event", resource: "events"}
	framework.Eventually(t, "an event about "+name, func(ctx context.Context) (bool, error) {
		list, err := c.of(events).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + name + ",reason=OwnerRefInvalidNamespace"})
		if err != nil || len(list.Items) == 0 {
			return false, err
		}
		text, _ := list.Items[0].Object["message"].(string)
		return strings.HasSuffix(text, message), fmt.Errorf("the message is %q", text)
	})
}

// testGroups has a Service as an owner under both of its API groups.
func testGroups(t *testing.T, c collector) {
	svc := c.create(t, services, "of-two-groups", nil)
	own := owner(svc)
	own.APIVersion = "portolan.dev/v1"
	c.create(t, configMaps, "of-core", nil, owner(svc))
	c.create(t, configMaps, "of-portolan", nil, own)
	c.awaitTurn(t, configMaps, "turn-of-groups")
	c.awaitOwners(t, configMaps, "of-portolan", svc.GetName())
	c.delete(t, services, svc.GetName(), metav1.DeletePropagationForeground)
	c.awaitGone(t, services, svc.GetName())
	c.awaitGone(t, configMaps, "of-core")
	c.awaitGone(t, configMaps, "of-portolan")
}

// testChain deletes a chain in the foreground: the last link first.
func testChain(t *testing.T, c collector) {
	a := c.create(t, configMaps, "chain-a", nil)
	b := c.create(t, services, "chain-b", nil, owner(a))
	last := c.create(t, configMaps, "chain-c", []string{stays}, owner(b))
	c.awaitTurn(t, configMaps, "turn-of-chain")
	c.awaitTurn(t, services, "turn-of-chain")
	c.delete(t, configMaps, "chain-a", metav1.DeletePropagationForeground)
	framework.Eventually(t, "the chain waits for its last link", func(ctx context.Context) (bool, error) {
		obj, err := c.of(configMaps).Get(ctx, last.GetName(), metav1.GetOptions{})
		return err == nil && obj.GetDeletionTimestamp() != nil, err
	})
	for _, k := range []kind{configMaps, services} {
		name := map[string]string{"ConfigMap": "chain-a", "Service": "chain-b"}[k.kind]
		if obj, err := c.of(k).Get(t.Context(), name, metav1.GetOptions{}); err != nil || obj.GetDeletionTimestamp() == nil {
			t.Errorf("%s does not wait: %v, error %v", name, obj, err)
		}
	}
	c.patch(t, configMaps, last.GetName(), `{"metadata":{"finalizers":null}}`)
	c.awaitGone(t, configMaps, "chain-c")
	c.awaitGone(t, services, "chain-b")
	c.awaitGone(t, configMaps, "chain-a")
}

// testCircle deletes objects in the foreground that own each other, and one that owns itself.
func testCircle(t *testing.T, c collector) {
	a := c.create(t, configMaps, "circle-a", nil)
	b := c.create(t, configMaps, "circle-b", nil, owner(a))
	c.own(t, "circle-a", b)
	c.own(t, "circle-self", c.create(t, configMaps, "circle-self", nil))
	c.awaitTurn(t, configMaps, "turn-of-circles")
	for _, name := range []string{"circle-a", "circle-self"} {
		c.delete(t, configMaps, name, metav1.DeletePropagationForeground)
	}
	for _, name := range []string{"circle-a", "circle-b", "circle-self"} {
		c.awaitGone(t, configMaps, name)
	}
}

// own makes an object the owner of a ConfigMap that exists.
func (c collector) own(t *testing.T, name string, o *unstructured.Unstructured) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"ownerReferences": []metav1.OwnerReference{owner(o)}}})
	if err != nil {
		t.Fatal(err)
	}
	c.patch(t, configMaps, name, string(patch))
}

// testClusterScoped has an owner outside namespaces, and a dependent that does not block it.
func testClusterScoped(t *testing.T, c collector) {
	role := c.create(t, clusterRoles, "owns-all", nil)
	reference := owner(role)
	reference.BlockOwnerDeletion = ptr.To(false)
	c.create(t, clusterRoles, "owned-role", nil, owner(role))
	c.create(t, configMaps, "owned-loosely", []string{stays}, reference)
	c.delete(t, clusterRoles, "owns-all", metav1.DeletePropagationForeground)
	c.awaitGone(t, clusterRoles, "owned-role")
	c.awaitGone(t, clusterRoles, "owns-all")
	c.patch(t, configMaps, "owned-loosely", `{"metadata":{"finalizers":null}}`)
	c.awaitGone(t, configMaps, "owned-loosely")
}

// testCustomKinds has owners and dependents of a kind that comes and goes.
func testCustomKinds(t *testing.T, c collector) {
	ship := kind{version: "sea.example.com/v1", kind: "Ship", resource: "ships"}
	never := metav1.OwnerReference{APIVersion: ship.version, Kind: "Ship", Name: "never", UID: "never"}
	c.create(t, configMaps, "of-no-ship", nil, never)
	c.awaitTurn(t, configMaps, "turn-of-ships")
	c.awaitOwners(t, configMaps, "of-no-ship", "never")
	c.define(t, ship)
	c.awaitGone(t, configMaps, "of-no-ship")

	o := c.create(t, configMaps, "owns-ships", nil)
	c.create(t, ship, "owned", nil, owner(o))
	c.delete(t, configMaps, "owns-ships", metav1.DeletePropagationForeground)
	c.awaitGone(t, ship, "owned")
	c.awaitGone(t, configMaps, "owns-ships")

	argo := c.create(t, ship, "argo", nil)
	c.create(t, configMaps, "of-argo", nil, owner(argo))
	c.awaitTurn(t, configMaps, "turn-of-argo")
	c.delete(t, definitions, "ships.sea.example.com", metav1.DeletePropagationBackground)
	c.awaitGone(t, configMaps, "of-argo")
}
