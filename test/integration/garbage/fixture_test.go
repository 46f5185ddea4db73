package garbage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/test/framework"
)

const (
	namespace = "default"
	// stays is a finalizer that no controller removes.
	stays = "example.com/stays"
)

// kind is a kind of the tests, with what an object of it needs.
type kind struct {
	version, kind, resource string
	cluster                 bool
	// name is the name of objects whose name is not free. It is empty for most kinds.
	name   string
	fields map[string]any
}

var (
	configMaps   = kind{version: "v1", kind: "ConfigMap", resource: "configmaps"}
	services     = kind{version: "v1", kind: "Service", resource: "services", fields: service}
	service      = map[string]any{"spec": map[string]any{"ports": []any{map[string]any{"port": int64(80)}}}}
	clusterRoles = kind{version: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", resource: "clusterroles", cluster: true}
	boats        = kind{version: "harbor.example.com/v1", kind: "Boat", resource: "boats"}
	fleets       = kind{version: "harbor.example.com/v1", kind: "Fleet", resource: "fleets", cluster: true}
	definitions  = kind{
		version: "apiextensions.k8s.io/v1", kind: "CustomResourceDefinition", resource: "customresourcedefinitions", cluster: true,
	}
)

// collector is a client of a server that collects garbage.
type collector struct {
	client dynamic.Interface
}

func clientOf(t testing.TB, config *rest.Config) collector {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return collector{client}
}

func (c collector) of(k kind) dynamic.ResourceInterface {
	version, _ := schema.ParseGroupVersion(k.version)
	if k.cluster {
		return c.client.Resource(version.WithResource(k.resource))
	}
	return c.client.Resource(version.WithResource(k.resource)).Namespace(namespace)
}

// create makes an object.
func (c collector) create(t testing.TB, k kind, name string, finalizers []string,
	owners ...metav1.OwnerReference) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{Object: map[string]any{}}
	maps.Copy(obj.Object, k.fields)
	obj = obj.DeepCopy()
	obj.SetAPIVersion(k.version)
	obj.SetKind(k.kind)
	obj.SetName(name)
	obj.SetFinalizers(finalizers)
	obj.SetOwnerReferences(owners)
	made, err := c.of(k).Create(t.Context(), obj, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("%s %s: %v", k.kind, name, err)
	}
	return made
}

// owner returns the reference to an owner that waits for the dependent.
func owner(obj *unstructured.Unstructured) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: obj.GetAPIVersion(), Kind: obj.GetKind(), Name: obj.GetName(), UID: obj.GetUID(), BlockOwnerDeletion: ptr.To(true),
	}
}

func (c collector) delete(t testing.TB, k kind, name string, policy metav1.DeletionPropagation) {
	t.Helper()
	if err := c.of(k).Delete(t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
		t.Fatalf("%s %s: %v", k.kind, name, err)
	}
}

func (c collector) patch(t testing.TB, k kind, name, patch string) {
	t.Helper()
	if _, err := c.of(k).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatalf("%s %s: %v", k.kind, name, err)
	}
}

func (c collector) awaitGone(t testing.TB, k kind, name string) {
	t.Helper()
	framework.Eventually(t, k.kind+" "+name+" is gone", func(ctx context.Context) (bool, error) {
		obj, err := c.of(k).Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			err = fmt.Errorf("it has %v", obj.Object["metadata"])
		}
		return apierrors.IsNotFound(err), err
	})
}

// awaitOwners waits until an object has owners of the names, and is not being deleted.
func (c collector) awaitOwners(t testing.TB, k kind, name string, owners ...string) {
	t.Helper()
	framework.Eventually(t, fmt.Sprintf("%s %s belongs to %v", k.kind, name, owners), func(ctx context.Context) (bool, error) {
		obj, err := c.of(k).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		var found []string
		for _, reference := range obj.GetOwnerReferences() {
			found = append(found, reference.Name)
		}
		return slices.Equal(found, owners) && obj.GetDeletionTimestamp() == nil, fmt.Errorf("it has %v", obj.Object["metadata"])
	})
}

// awaitTurn returns when the collector knows all objects of a kind that were written before: it
// collects one whose owner never existed.
func (c collector) awaitTurn(t testing.TB, k kind, name string) {
	t.Helper()
	c.create(t, k, name, nil, metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: "never", UID: "never"})
	c.awaitGone(t, k, name)
}

// define makes a kind that the server then serves.
func (c collector) define(t testing.TB, k kind) {
	t.Helper()
	version, _ := schema.ParseGroupVersion(k.version)
	definition := definitions
	scope := "Namespaced"
	if k.cluster {
		scope = "Cluster"
	}
	definition.fields = map[string]any{"spec": map[string]any{
		"group": version.Group, "scope": scope, "names": map[string]any{"plural": k.resource, "kind": k.kind},
		"versions": []any{map[string]any{
			"name": version.Version, "served": true, "storage": true,
			"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object"}},
		}},
	}}
	c.create(t, definition, k.resource+"."+version.Group, nil)
	framework.Eventually(t, k.resource+" are served", func(ctx context.Context) (bool, error) {
		_, err := c.of(k).List(ctx, metav1.ListOptions{})
		return err == nil, err
	})
}
