package namespaces

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	corev1informers "k8s.io/client-go/informers/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
	"github.com/portolan-dev/portolan/pkg/registry"
)

const (
	// workers is how many namespaces are emptied at once.
	workers = 2
	// firstCheck and lastCheck are the shortest and the longest delay until a
	// namespace with remaining contents is checked again. The first is short because a
	// client may be about to remove its finalizer.
	firstCheck = 20 * time.Millisecond
	lastCheck  = 15 * time.Second
)

// Deletion empties namespaces that are being deleted and then removes their finalizer
// "kubernetes". Until then it reports the remaining contents in their conditions,
// which are upstream's (pkg/controller/namespace/deletion).
//
// Deletion needs no discovery: this server serves everything that a namespace can
// hold.
type Deletion struct {
	namespaces corev1client.NamespaceInterface
	resources  []registry.NamespacedResource
	custom     CustomResources
	loop       *reconcile.Loop
	// checks delays the next check of a namespace with remaining contents.
	checks workqueue.TypedRateLimiter[string]
}

// CustomResources returns the namespaced custom resources. It may be nil.
type CustomResources func(ctx context.Context) ([]registry.NamespacedResource, error)

// NewDeletion returns a Deletion for the namespaces of an informer. It deletes custom
// resources last.
func NewDeletion(namespaces corev1client.NamespaceInterface, informer corev1informers.NamespaceInformer,
	resources []registry.NamespacedResource, custom CustomResources) (*Deletion, error) {
	d := &Deletion{
		namespaces: namespaces,
		resources:  resources,
		custom:     custom,
		checks:     workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstCheck, lastCheck),
	}
	d.loop = reconcile.New("namespaces", d.sync)
	_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    d.enqueue,
		UpdateFunc: func(_, obj any) { d.enqueue(obj) },
	})
	return d, err
}

func (d *Deletion) enqueue(obj any) {
	if namespace, ok := obj.(*corev1.Namespace); ok && needsEmptying(namespace) {
		d.loop.Add(namespace.Name)
	}
}

// needsEmptying reports whether a namespace is being deleted and not yet empty.
func needsEmptying(namespace *corev1.Namespace) bool {
	return !namespace.DeletionTimestamp.IsZero() && slices.Contains(namespace.Spec.Finalizers, corev1.FinalizerKubernetes)
}

// Run empties namespaces until ctx ends.
func (d *Deletion) Run(ctx context.Context) { d.loop.Run(ctx, workers) }

func (d *Deletion) sync(ctx context.Context, name string) error {
	done, err := d.remove(ctx, name)
	switch {
	case err != nil && !apierrors.IsConflict(err):
		return err
	case done:
		d.checks.Forget(name)
	default:
		d.loop.AddAfter(name, d.checks.When(name))
	}
	return nil
}

// remove empties a namespace as far as possible, and reports whether that is finished.
func (d *Deletion) remove(ctx context.Context, name string) (done bool, err error) {
	namespace, err := d.namespaces.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil || !needsEmptying(namespace) {
		return err == nil, err
	}
	remaining := d.empty(ctx, name)
	if remaining.setConditions(&namespace.Status) {
		if namespace, err = d.namespaces.UpdateStatus(ctx, namespace, metav1.UpdateOptions{}); err != nil {
			return false, ignoreNotFound(err)
		}
	}
	if !remaining.isEmpty() {
		return false, nil
	}
	namespace = namespace.DeepCopy()
	namespace.Spec.Finalizers = slices.DeleteFunc(namespace.Spec.Finalizers, func(finalizer corev1.FinalizerName) bool {
		return finalizer == corev1.FinalizerKubernetes
	})
	_, err = d.namespaces.Finalize(ctx, namespace, metav1.UpdateOptions{})
	err = ignoreNotFound(err)
	return err == nil, err
}

// ignoreNotFound ignores that another replica has removed the namespace.
func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// empty deletes the objects in a namespace and returns what remains.
func (d *Deletion) empty(ctx context.Context, name string) remainder {
	ctx = request.WithNamespace(ctx, name)
	remaining := remainder{objects: map[string]int{}, finalizers: map[string]int{}}
	resources := d.resources
	if d.custom != nil {
		custom, err := d.custom(ctx)
		if err != nil {
			remaining.errors = append(remaining.errors, err.Error())
		}
		resources = slices.Concat(resources, custom)
	}
	for _, resource := range resources {
		if err := deleteAll(ctx, resource, &remaining); err != nil {
			remaining.errors = append(remaining.errors, fmt.Sprintf("%s: %v", resource.GroupResource, err))
		}
	}
	return remaining
}

func deleteAll(ctx context.Context, resource registry.NamespacedResource, remaining *remainder) error {
	background := metav1.DeletePropagationBackground
	_, err := resource.Objects.DeleteCollection(ctx, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{PropagationPolicy: &background},
		&metainternalversion.ListOptions{})
	if err != nil {
		return err
	}
	list, err := resource.Objects.List(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		return err
	}
	return meta.EachListItem(list, func(item runtime.Object) error {
		object, err := meta.Accessor(item)
		if err != nil {
			return err
		}
		remaining.objects[fmt.Sprintf("%s.%s", resource.Resource, resource.Group)]++
		for _, finalizer := range object.GetFinalizers() {
			remaining.finalizers[finalizer]++
		}
		return nil
	})
}
