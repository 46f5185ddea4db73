// Package namespaces maintains the namespaces of a server that serves them:
//
//   - The system namespaces, which every cluster has, always exist.
//   - A namespace that holds objects exists. A store can hold objects in namespaces
//     that were never created, written by releases or replicas that don't serve
//     namespaces. A server creates those namespaces when it starts.
//   - A namespace that is deleted is emptied first (deletion.go).
//
// All replicas do this at once. Each accepts what another has already done.
package namespaces

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/registry"
)

const (
	// checkPeriod is upstream's (pkg/controlplane/controller/systemnamespaces).
	checkPeriod = time.Minute
	// cachePollPeriod is how often to list from a watch cache that is being filled.
	cachePollPeriod = 10 * time.Millisecond
)

// system lists the system namespaces, as upstream's systemnamespaces controller does.
var system = []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease}

// Namespaces is the store of namespaces.
type Namespaces interface {
	rest.Lister
	rest.Creater
}

// Prepare creates missing namespaces that hold objects, and then missing system
// namespaces.
func Prepare(ctx context.Context, namespaces Namespaces, resources []registry.NamespacedResource) error {
	ctx = request.WithNamespace(ctx, metav1.NamespaceNone)
	// Namespaces are listed before the objects. So a namespace that is deleted
	// meanwhile is known, and is not created again.
	known, err := namesOf(ctx, namespaces, metav1.Object.GetName)
	if err != nil {
		return fmt.Errorf("listing namespaces: %w", err)
	}
	for _, resource := range resources {
		used, err := namesOf(ctx, resource.Objects, metav1.Object.GetNamespace)
		if err != nil {
			return fmt.Errorf("listing %s: %w", resource.GroupResource, err)
		}
		for name := range used.Difference(known) {
			klog.FromContext(ctx).Info("Creating a missing namespace that holds objects", "namespace", name,
				"resource", resource.GroupResource)
			if err := create(ctx, namespaces, name); err != nil {
				return err
			}
			known.Insert(name)
		}
	}
	return createSystem(ctx, namespaces, known)
}

// Keep creates missing system namespaces again, every minute until ctx ends.
func Keep(ctx context.Context, namespaces Namespaces) {
	ctx = request.WithNamespace(ctx, metav1.NamespaceNone)
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		known, err := namesOf(ctx, namespaces, metav1.Object.GetName)
		if err == nil {
			err = createSystem(ctx, namespaces, known)
		}
		if err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Creating missing system namespaces failed")
		}
	}, checkPeriod)
}

func createSystem(ctx context.Context, namespaces Namespaces, known sets.Set[string]) error {
	for _, name := range system {
		if known.Has(name) {
			continue
		}
		if err := create(ctx, namespaces, name); err != nil {
			return err
		}
	}
	return nil
}

func create(ctx context.Context, namespaces Namespaces, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := namespaces.Create(ctx, namespace, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating the namespace %s: %w", name, err)
	}
	return nil
}

// namesOf returns the set of names that a function returns for the objects of a store.
// It waits for a watch cache that is still being filled.
func namesOf(ctx context.Context, store registry.Lister, name func(metav1.Object) string) (sets.Set[string], error) {
	names := sets.New[string]()
	err := wait.PollUntilContextCancel(ctx, cachePollPeriod, true, func(ctx context.Context) (bool, error) {
		list, err := store.List(ctx, &metainternalversion.ListOptions{})
		if apierrors.IsTooManyRequests(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, meta.EachListItem(list, func(item runtime.Object) error {
			object, err := meta.Accessor(item)
			if err == nil {
				names.Insert(name(object))
			}
			return err
		})
	})
	return names, err
}
