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
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

// Kind names a kind of which there are copies.
type Kind struct{ Resource, Kind string }

// Store is the store of such a kind.
type Store = registry.Store

// ProtectCopies returns a layer that makes copies read-only, except for this package's own
// writes.
//
// It is a storage.Interface for the reason of claims.ProtectHeld: no higher layer sees
// every delete.
func ProtectCopies(kind Kind) func(storage.Interface) storage.Interface {
	return func(inner storage.Interface) storage.Interface { return &protected{Interface: inner, kind: kind} }
}

type protected struct {
	storage.Interface
	kind Kind
}

// asWriter returns a context in which writes of copies pass.
func asWriter(ctx context.Context) context.Context {
	state := requeststate.From(ctx)
	state.WritesCopies = true
	return requeststate.With(ctx, state)
}

func isWriter(ctx context.Context) bool { return requeststate.From(ctx).WritesCopies }

// Create implements storage.Interface.
func (p *protected) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	if !isWriter(ctx) {
		if err := p.checkMark(ctx, obj); err != nil {
			return err
		}
	}
	return p.Interface.Create(ctx, key, obj, out, ttl)
}

// GuaranteedUpdate implements storage.Interface.
func (p *protected) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object) error {
	if isWriter(ctx) {
		return p.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, tryUpdate, cached)
	}
	checked := func(input runtime.Object, res storage.ResponseMeta) (runtime.Object, *uint64, error) {
		if err := p.checkCopy(ctx, input); err != nil {
			return nil, nil, err
		}
		output, ttl, err := tryUpdate(input, res)
		if err != nil {
			return nil, nil, err
		}
		return output, ttl, p.checkMark(ctx, output)
	}
	return p.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, checked, cached)
}

// Delete implements storage.Interface.
func (p *protected) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validateDeletion storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions) error {
	if isWriter(ctx) {
		return p.Interface.Delete(ctx, key, out, preconditions, validateDeletion, cached, opts)
	}
	validate := func(ctx context.Context, obj runtime.Object) error {
		if err := p.checkCopy(ctx, obj); err != nil {
			return err
		}
		return validateDeletion(ctx, obj)
	}
	return p.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts)
}

// checkCopy rejects the write of a copy.
func (p *protected) checkCopy(ctx context.Context, stored runtime.Object) error {
	obj, ok := stored.(metav1.Object)
	if !ok {
		return nil
	}
	cluster, mirrored := v1.MirroredFrom(obj)
	if !mirrored {
		return nil
	}
	return apierrors.NewForbidden(apigroup.Resource(ctx, p.kind.Resource), obj.GetName(), fmt.Errorf(
		"it is mirrored from the cluster at %s and read-only here: change it there, or make the Service Portolan's own with "+
			"\"portolan adopt\"", cluster))
}

// checkMark rejects an object that a client has marked as a copy.
func (p *protected) checkMark(ctx context.Context, written runtime.Object) error {
	obj, ok := written.(metav1.Object)
	if !ok {
		return nil
	}
	if !v1.IsMirrored(obj) {
		return nil
	}
	path := field.NewPath("metadata", "annotations").Key(v1.AnnotationMirroredFrom)
	return apierrors.NewInvalid(apigroup.Kind(ctx, p.kind.Resource, p.kind.Kind), obj.GetName(), field.ErrorList{
		field.Forbidden(path, "only the mirror of a cluster's Services sets this annotation"),
	})
}
