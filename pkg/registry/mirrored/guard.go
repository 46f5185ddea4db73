package mirrored

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/storage"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/apigroup"
)

// Kind names a kind of which there are copies.
type Kind struct{ Resource, Kind string }

// Store is the store of such a kind.
type Store = registry.Store

// Guard returns a layer that makes copies read-only, except for this package's own writes.
//
// It is a storage.Interface for the reason of claims.Guard: no higher layer sees every
// delete.
func Guard(kind Kind) func(storage.Interface) storage.Interface {
	return func(inner storage.Interface) storage.Interface { return &guard{Interface: inner, kind: kind} }
}

type guard struct {
	storage.Interface
	kind Kind
}

type writerKey struct{}

// asWriter returns a context in which the guard lets writes of copies pass.
func asWriter(ctx context.Context) context.Context { return context.WithValue(ctx, writerKey{}, true) }

func isWriter(ctx context.Context) bool { return ctx.Value(writerKey{}) != nil }

// Create implements storage.Interface.
func (g *guard) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	if !isWriter(ctx) {
		if err := g.checkMark(ctx, obj); err != nil {
			return err
		}
	}
	return g.Interface.Create(ctx, key, obj, out, ttl)
}

// GuaranteedUpdate implements storage.Interface.
func (g *guard) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object) error {
	if isWriter(ctx) {
		return g.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, tryUpdate, cached)
	}
	guarded := func(input runtime.Object, res storage.ResponseMeta) (runtime.Object, *uint64, error) {
		if err := g.checkCopy(ctx, input); err != nil {
			return nil, nil, err
		}
		output, ttl, err := tryUpdate(input, res)
		if err != nil {
			return nil, nil, err
		}
		return output, ttl, g.checkMark(ctx, output)
	}
	return g.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, guarded, cached)
}

// Delete implements storage.Interface.
func (g *guard) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validateDeletion storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions) error {
	if isWriter(ctx) {
		return g.Interface.Delete(ctx, key, out, preconditions, validateDeletion, cached, opts)
	}
	validate := func(ctx context.Context, obj runtime.Object) error {
		if err := g.checkCopy(ctx, obj); err != nil {
			return err
		}
		return validateDeletion(ctx, obj)
	}
	return g.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts)
}

// checkCopy rejects the write of a copy.
func (g *guard) checkCopy(ctx context.Context, stored runtime.Object) error {
	obj, ok := stored.(metav1.Object)
	if !ok {
		return nil
	}
	cluster, mirrored := v1.MirroredFrom(obj)
	if !mirrored {
		return nil
	}
	return apierrors.NewForbidden(apigroup.Resource(ctx, g.kind.Resource), obj.GetName(), fmt.Errorf(
		"it is mirrored from the cluster at %s and read-only here: change it there, or make the Service Portolan's own with "+
			"\"portolan adopt\"", cluster))
}

// checkMark rejects an object that a client has marked as a copy.
func (g *guard) checkMark(ctx context.Context, written runtime.Object) error {
	obj, ok := written.(metav1.Object)
	if !ok {
		return nil
	}
	if _, mirrored := v1.MirroredFrom(obj); !mirrored {
		return nil
	}
	path := field.NewPath("metadata", "annotations").Key(v1.AnnotationMirroredFrom)
	return apierrors.NewInvalid(apigroup.Kind(ctx, g.kind.Resource, g.kind.Kind), obj.GetName(), field.ErrorList{
		field.Forbidden(path, "only the mirror of a cluster's Services sets this annotation"),
	})
}
