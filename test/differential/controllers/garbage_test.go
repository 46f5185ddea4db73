//go:build e2e

package controllers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/test/framework"
)

const (
	// settled is how long upstream's collector must change nothing to be finished.
	settled = 3 * time.Second
	// stays is a finalizer that no controller removes.
	stays = "example.com/stays"
)

// owned is a kind of the comparison.
type owned struct {
	schema.GroupVersionResource
	kind       string
	namespaced bool
	fields     map[string]any
}

func ownedKinds() []owned {
	spec := map[string]any{"ports": []any{map[string]any{"port": int64(80)}}}
	boats := schema.GroupVersion{Group: "harbor.example.com", Version: "v1"}
	return []owned{
		{schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, "ConfigMap", true, nil},
		{schema.GroupVersionResource{Version: "v1", Resource: "services"}, "Service", true, map[string]any{"spec": spec}},
		{boats.WithResource("boats"), "Boat", true, nil},
		{schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}, "ClusterRole", false, nil},
		{boats.WithResource("fleets"), "Fleet", false, nil},
	}
}

// side is one of the two servers.
type side struct {
	t      *testing.T
	client dynamic.Interface
	// uids are the UIDs of the objects, by name.
	uids map[string]types.UID
}

func newSide(t *testing.T, config *rest.Config) *side {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	s := &side{t: t, client: client, uids: map[string]types.UID{}}
	for _, k := range ownedKinds() {
		if k.Group == "harbor.example.com" {
			s.define(k)
		}
	}
	return s
}

func (s *side) of(k owned) dynamic.ResourceInterface {
	if k.namespaced {
		return s.client.Resource(k.GroupVersionResource).Namespace(namespace)
	}
	return s.client.Resource(k.GroupVersionResource)
}

// define makes a kind, and waits until the collector knows it.
func (s *side) define(k owned) {
	s.t.Helper()
	scope := map[bool]string{true: "Namespaced", false: "Cluster"}[k.namespaced]
	definition := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": k.GroupResource().String()},
		"spec": map[string]any{
			"group": k.Group, "scope": scope, "names": map[string]any{"plural": k.Resource, "kind": k.kind},
			"versions": []any{map[string]any{
				"name": k.Version, "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object"}},
			}},
		},
	}}
	definitions := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	if _, err := s.client.Resource(definitions).Create(s.t.Context(), definition, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	framework.Eventually(s.t, k.Resource+" are served", func(ctx context.Context) (bool, error) {
		_, err := s.of(k).List(ctx, metav1.ListOptions{})
		return err == nil, err
	})
	never := metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: "never", UID: "never"}
	s.create(k, "never", nil, never)
	framework.Eventually(s.t, "the collector knows "+k.Resource, func(ctx context.Context) (bool, error) {
		_, err := s.of(k).Get(ctx, "never", metav1.GetOptions{})
		return apierrors.IsNotFound(err), err
	})
}

func (s *side) create(k owned, name string, finalizers []string, owners ...metav1.OwnerReference) {
	s.t.Helper()
	obj := (&unstructured.Unstructured{Object: k.fields}).DeepCopy()
	if obj.Object == nil {
		obj.Object = map[string]any{}
	}
	obj.SetAPIVersion(k.GroupVersion().String())
	obj.SetKind(k.kind)
	obj.SetName(name)
	obj.SetFinalizers(finalizers)
	obj.SetOwnerReferences(owners)
	made, err := s.of(k).Create(s.t.Context(), obj, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatalf("%s %s: %v", k.kind, name, err)
	}
	s.uids[name] = made.GetUID()
}

// state describes the objects of the comparison.
func (s *side) state() string {
	s.t.Helper()
	var lines []string
	for _, k := range ownedKinds() {
		list, err := s.of(k).List(s.t.Context(), metav1.ListOptions{})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, obj := range list.Items {
			if _, ours := s.uids[obj.GetName()]; !ours {
				continue
			}
			var owners []string
			for _, owner := range obj.GetOwnerReferences() {
				blocks := owner.BlockOwnerDeletion != nil && *owner.BlockOwnerDeletion
				owners = append(owners, fmt.Sprintf("%s %s, blocks: %t", owner.Kind, owner.Name, blocks))
			}
			lines = append(lines, fmt.Sprintf("%s %s: owners %q, finalizers %q, deleted: %t\n", k.kind, obj.GetName(), owners,
				obj.GetFinalizers(), obj.GetDeletionTimestamp() != nil))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// garbageFixture has the same objects on both servers.
type garbageFixture struct {
	t              *testing.T
	kube, portolan *side
	kinds          map[string]owned
	// finalized are the objects with a finalizer.
	finalized []string
	steps     []string
}

// each does a step on both servers.
func (f *garbageFixture) each(step string, do func(*side)) {
	f.t.Helper()
	f.steps = append(f.steps, step)
	do(f.kube)
	do(f.portolan)
}

// compare waits until upstream's collector has finished and the states are the same.
func (f *garbageFixture) compare() {
	f.t.Helper()
	want, since := f.kube.state(), time.Now()
	err := framework.Poll(f.t.Context(), func(context.Context) (bool, error) {
		if now := f.kube.state(); now != want {
			want, since = now, time.Now()
		}
		if time.Since(since) <= settled {
			return false, errors.New("kube-controller-manager has not finished")
		}
		got := f.portolan.state()
		return got == want, fmt.Errorf("the states differ:\n%s", difference(want, got))
	})
	if err != nil {
		f.t.Fatalf("after %s: %v", strings.Join(f.steps, ", "), err)
	}
}

// createAll makes objects of all kinds that own each other, without circles. Some references
// are wrong. References that do not block are only in objects that own nothing.
func (f *garbageFixture) createAll(random *rand.Rand, count int) {
	f.t.Helper()
	kinds := ownedKinds()
	var owners []string
	for i := range count {
		k, name := kinds[random.IntN(len(kinds))], fmt.Sprint("o", i)
		leaf, finalizers := random.IntN(3) == 0, []string(nil)
		if leaf && random.IntN(3) == 0 {
			finalizers, f.finalized = []string{stays}, append(f.finalized, name)
		}
		type reference struct {
			owner       string
			blocks, bad bool
		}
		var references []reference
		for range min(random.IntN(4), len(owners)) {
			r := reference{owners[random.IntN(len(owners))], !leaf || random.IntN(2) == 0, random.IntN(10) == 0}
			known := slices.ContainsFunc(references, func(other reference) bool { return other.owner == r.owner })
			if !known && (k.namespaced || !f.kinds[r.owner].namespaced) {
				references = append(references, r)
			}
		}
		f.kinds[name] = k
		if !leaf {
			owners = append(owners, name)
		}
		f.each(fmt.Sprintf("%s %s %v of %v", k.kind, name, finalizers, references), func(s *side) {
			var of []metav1.OwnerReference
			for _, r := range references {
				o := f.kinds[r.owner]
				owner := metav1.OwnerReference{
					APIVersion: o.GroupVersion().String(), Kind: o.kind, Name: r.owner, UID: s.uids[r.owner], BlockOwnerDeletion: &r.blocks,
				}
				if r.bad {
					owner.UID += "x"
				}
				of = append(of, owner)
			}
			s.create(k, name, finalizers, of...)
		})
	}
}

// TestGarbageSameAsUpstream deletes objects that own each other with all policies, on
// Portolan and on a kube-apiserver beside which kube-controller-manager collects, and compares
// what is left after each.
func TestGarbageSameAsUpstream(t *testing.T) {
	t.Parallel()
	kube := framework.StartKube(t)
	framework.CreateNamespace(t, kube.Config, namespace)
	framework.StartControllers(t, kube, "garbage-collector-controller")
	server := framework.StartAll(t, nil)
	framework.CreateNamespace(t, server.Config, namespace)
	f := &garbageFixture{t: t, kube: newSide(t, kube.Config), portolan: newSide(t, server.Config), kinds: map[string]owned{}}
	random := framework.Random(framework.Seed(t), 0)
	f.createAll(random, 60)
	f.compare()
	policies := []metav1.DeletionPropagation{
		metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan,
	}
	for i := range 15 {
		name, policy := fmt.Sprint("o", random.IntN(20+3*i)), policies[i%len(policies)]
		k := f.kinds[name]
		f.each(fmt.Sprintf("delete %s %s", name, policy), func(s *side) {
			err := s.of(k).Delete(t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &policy})
			if err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
		})
		f.compare()
	}
	f.each("finalizers removed", func(s *side) {
		for _, name := range f.finalized {
			_, err := s.of(f.kinds[name]).Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`),
				metav1.PatchOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
		}
	})
	f.compare()
}
