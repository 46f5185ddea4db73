package namespace

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storageerrors "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

var resource = corev1.Resource("namespaces")

// store is the part of the generic store that clients use. Like upstream, it cannot
// delete a collection of Namespaces.
type store interface {
	rest.Storage
	rest.StorageWithReadiness
	rest.Scoper
	rest.SingularNameProvider
	rest.ShortNamesProvider
	rest.StorageVersionProvider
	rest.Lister
	rest.Watcher
	rest.Creater
	rest.Patcher
	rest.ResetFieldsStrategy
	rest.CorruptObjectDeleterProvider
}

var (
	_ store                = generic.Store{}
	_ rest.GracefulDeleter = &REST{}
)

// REST serves Namespaces.
type REST struct {
	store
	generic generic.Store
}

// Serve returns the storage that serves clients.
func Serve(store generic.Store) rest.Storage { return &REST{store: store, generic: store} }

// DeleteDuringUpdate reports whether an update removes a terminating Namespace. It does
// if neither spec.finalizers nor metadata.finalizers has an entry left.
func DeleteDuringUpdate(ctx context.Context, key string, obj, existing runtime.Object) bool {
	return len(obj.(*corev1.Namespace).Spec.Finalizers) == 0 && genericregistry.ShouldDeleteDuringUpdate(ctx, key, obj, existing)
}

// Delete implements rest.GracefulDeleter. It marks the Namespace for deletion; removing
// the last finalizer removes the object. Another DELETE of a marked Namespace without
// finalizers removes it too.
func (r *REST) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object,
	bool, error) {
	found, err := r.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	namespace := found.(*corev1.Namespace)
	if options == nil {
		options = metav1.NewDeleteOptions(0)
	}
	preconditions, err := preconditionsOf(namespace, options)
	if err != nil {
		return nil, false, err
	}
	if namespace.DeletionTimestamp.IsZero() {
		if dryrun.IsDryRun(options.DryRun) {
			ctx = requeststate.WithDryRun(ctx)
		}
		marked, err := r.mark(ctx, name, validate, preconditions, options)
		return marked, false, err
	}
	if len(namespace.Spec.Finalizers) != 0 {
		return namespace, false, nil
	}
	options = options.DeepCopy()
	options.Preconditions = &metav1.Preconditions{UID: preconditions.UID, ResourceVersion: preconditions.ResourceVersion}
	return r.generic.Delete(ctx, name, validate, options)
}

// preconditionsOf returns the preconditions of the options, plus the UID of the
// Namespace that was read.
func preconditionsOf(namespace *corev1.Namespace, options *metav1.DeleteOptions) (storage.Preconditions, error) {
	result := storage.Preconditions{UID: &namespace.UID}
	wanted := options.Preconditions
	if wanted == nil {
		return result, nil
	}
	failed := func(what string, want, got any) error {
		return apierrors.NewConflict(resource, namespace.Name,
			fmt.Errorf("Precondition failed: %s in precondition: %v, %s in object meta: %v", what, want, what, got))
	}
	if wanted.UID != nil && *wanted.UID != namespace.UID {
		return result, failed("UID", *wanted.UID, namespace.UID)
	}
	if wanted.ResourceVersion != nil && *wanted.ResourceVersion != namespace.ResourceVersion {
		return result, failed("ResourceVersion", *wanted.ResourceVersion, namespace.ResourceVersion)
	}
	result.ResourceVersion = wanted.ResourceVersion
	return result, nil
}

// mark marks a Namespace for deletion.
func (r *REST) mark(ctx context.Context, name string, validate rest.ValidateObjectFunc,
	preconditions storage.Preconditions, options *metav1.DeleteOptions) (runtime.Object, error) {
	key, err := r.generic.KeyFunc(ctx, name)
	if err != nil {
		return nil, err
	}
	marked := r.New()
	err = r.generic.Storage.GuaranteedUpdate(ctx, key, marked, false, &preconditions,
		storage.SimpleUpdate(func(existing runtime.Object) (runtime.Object, error) {
			if err := validate(ctx, existing); err != nil {
				return nil, err
			}
			namespace := existing.(*corev1.Namespace)
			if namespace.DeletionTimestamp.IsZero() {
				now := metav1.Now()
				namespace.DeletionTimestamp = &now
			}
			namespace.Status.Phase = corev1.NamespaceTerminating
			if r.generic.EnableGarbageCollection {
				namespace.Finalizers = withPolicy(namespace.Finalizers, options)
			}
			return namespace, nil
		}), false, nil)
	if err == nil {
		return marked, nil
	}
	err = storageerrors.InterpretUpdateError(storageerrors.InterpretGetError(err, resource, name), resource, name)
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		err = apierrors.NewInternalError(err)
	}
	return nil, err
}

// withPolicy returns finalizers with that of the garbage collector that the options ask for, if
// they do. As in upstream, orphanDependents=false means Foreground.
func withPolicy(finalizers []string, options *metav1.DeleteOptions) []string {
	var wanted string
	policy := options.PropagationPolicy
	switch orphan := options.OrphanDependents; { //nolint:staticcheck // Clients still set it.
	case orphan == nil && policy == nil:
		return finalizers
	case orphan != nil && *orphan, orphan == nil && *policy == metav1.DeletePropagationOrphan:
		wanted = metav1.FinalizerOrphanDependents
	case orphan != nil, *policy == metav1.DeletePropagationForeground:
		wanted = metav1.FinalizerDeleteDependents
	}
	kept := slices.DeleteFunc(slices.Clone(finalizers), func(finalizer string) bool {
		return finalizer == metav1.FinalizerOrphanDependents || finalizer == metav1.FinalizerDeleteDependents
	})
	if wanted == "" {
		return kept
	}
	return append(kept, wanted)
}

// FinalizeREST serves namespaces/finalize, which changes spec.finalizers only.
type FinalizeREST struct {
	rest *generic.Status
}

// NewFinalize makes the finalize subresource of a store of Namespaces.
func NewFinalize(store generic.Store, typer runtime.ObjectTyper) *FinalizeREST {
	main := strategy{generic.NewDefaultStrategy(typer)}
	return &FinalizeREST{generic.NewStatus(store, finalizeStrategy{main})}
}

var (
	_ rest.Updater             = &FinalizeREST{}
	_ rest.ResetFieldsStrategy = &FinalizeREST{}
)

// New implements rest.Storage.
func (r *FinalizeREST) New() runtime.Object { return r.rest.New() }

// Destroy implements rest.Storage. It does nothing, because the main store owns the
// storage.
func (*FinalizeREST) Destroy() {}

// Update implements rest.Updater.
func (r *FinalizeREST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, force bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.rest.Update(ctx, name, info, create, update, force, options)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (r *FinalizeREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.rest.GetResetFields()
}
