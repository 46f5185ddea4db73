package claims

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	"github.com/portolan-dev/portolan/pkg/apigroup"
)

// ProtectHeld wraps a store of claims. It protects held claims from the API's own writers:
// only the transactions of its Service create and delete a held claim. Upstream has no
// such protection; an IPAddress that is deleted while in use goes to the next Service.
// It does not check ranges. It does not check creates either, since validation
// rejects a UID in a holder.
//
// It rejects, with a 409 that names the holder, every write that deletes a held claim,
// marks it for deletion, or changes what the server owns of it (see checkMetadata). Labels
// and annotations of the writer's own pass, as do objects that are not claims.
//
// It is a storage.Interface because no higher layer sees every delete: deletecollection
// and an update that removes the last finalizer bypass an overridden REST.Delete.
//
// It works above and below the watch cache. Both checks run on the object of the
// attempt: the cache passes the two functions that ProtectHeld wraps to etcd3's store
// unchanged, and the store reads the object again before it returns an error that is
// based on a cached one. The server has it below the cache, with the other layers of
// package storage.
//
// The transaction of a Service writes its claims below this layer and is not affected.
//
// One held claim ends a deletecollection: genericregistry.Store.DeleteCollection returns
// the first error to the client, and objects deleted before stay deleted. To delete
// only reservations, select them by label.
func ProtectHeld(inner storage.Interface) storage.Interface {
	return &heldProtection{Interface: inner}
}

type heldProtection struct {
	storage.Interface
}

// Delete implements storage.Interface.
func (p *heldProtection) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validateDeletion storage.ValidateObjectFunc, cachedExistingObject runtime.Object, opts storage.DeleteOptions) error {
	validate := func(ctx context.Context, object runtime.Object) error {
		if err := validateDeletion(ctx, object); err != nil {
			return err
		}
		if claim, ok := contentsOf(object); ok && claim.held() {
			return claimHeldError(ctx, claim, insteadOfDeleting(claim))
		}
		return nil
	}
	return p.Interface.Delete(ctx, key, out, preconditions, validate, cachedExistingObject, opts)
}

// GuaranteedUpdate implements storage.Interface.
func (p *heldProtection) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cachedExistingObject runtime.Object) error {
	protected := func(input runtime.Object, res storage.ResponseMeta) (runtime.Object, *uint64, error) {
		if claim, ok := contentsOf(input); !ok || !claim.held() {
			return tryUpdate(input, res)
		}
		// tryUpdate may change its input and return it.
		before := input.DeepCopyObject()
		output, ttl, err := tryUpdate(input, res)
		if err != nil {
			return output, ttl, err
		}
		if err := checkHeldUpdate(ctx, before, output); err != nil {
			return nil, nil, err
		}
		return output, ttl, nil
	}
	return p.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, protected, cachedExistingObject)
}

func checkHeldUpdate(ctx context.Context, before, after runtime.Object) error {
	claim, _ := contentsOf(before)
	changed, ok := contentsOf(after)
	if !ok {
		return apierrors.NewInternalError(fmt.Errorf("a claim became a %T", after))
	}
	if claim.meta.DeletionTimestamp == nil && changed.meta.DeletionTimestamp != nil {
		return claimHeldError(ctx, claim, insteadOfDeleting(claim))
	}
	if !equality.Semantic.DeepEqual(claim.spec, changed.spec) {
		return claimHeldError(ctx, claim, "the "+claim.noun()+" follows the Service, change that instead")
	}
	if problem := checkMetadata(claim, changed); problem != "" {
		return claimHeldError(ctx, claim, problem+" while the Service holds the "+claim.noun())
	}
	return nil
}

func insteadOfDeleting(claim contents) string {
	return "delete the Service, or take the " + claim.noun() + " from it, instead"
}

func claimHeldError(ctx context.Context, claim contents, advice string) error {
	held := fmt.Errorf("the %s is held by %s: %s", claim.noun(), apigroup.Holder(ctx, claim.holder()), advice)
	return apierrors.NewConflict(apigroup.Resource(ctx, claim.kind.names().claims), claim.meta.Name, held)
}
