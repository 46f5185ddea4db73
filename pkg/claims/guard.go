package claims

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	"github.com/portolan-dev/portolan/pkg/apigroup"
)

// Guard wraps the storage of a kind of claims. It protects them from the API's own
// writers: a claim that a Service holds lives and dies in the Service's transaction.
// Upstream has no such protection; it gives an IPAddress that is deleted while in use to
// the next Service. The guard knows nothing of ranges, and it does not look at creates,
// which validation keeps from naming a holder by UID.
//
// It rejects, with a 409 that names the holder, every write that deletes a held claim,
// marks it for deletion, or changes what the server owns of it (see checkContents). Labels
// and annotations of the writer's own pass, as do objects that are not claims.
//
// It is a storage.Interface because nothing further up sees every delete:
// deletecollection and the update that takes the last finalizer away bypass an
// overridden REST.Delete.
//
// Either side of the watch cache will do, as both checks run on the object of
// the very attempt: the cache hands the two functions that Guard wraps down to
// etcd3's store unchanged, and the store reads again before it believes a
// refusal that is based on a cached object. The server has it below, with the
// other layers of package storage.
//
// The transaction that commits a Service writes its claims below any of this
// and is not affected.
//
// One held claim ends a deletecollection: genericregistry.Store.DeleteCollection
// stops at the first error, which is the answer to the client, and what was
// deleted before stays deleted. To delete reservations only, select them by
// label.
func Guard(inner storage.Interface) storage.Interface {
	return &guard{Interface: inner}
}

type guard struct {
	storage.Interface
}

// Delete implements storage.Interface.
func (g *guard) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validateDeletion storage.ValidateObjectFunc, cachedExistingObject runtime.Object, opts storage.DeleteOptions) error {
	validate := func(ctx context.Context, object runtime.Object) error {
		if err := validateDeletion(ctx, object); err != nil {
			return err
		}
		if claim, ok := guardedClaimOf(object); ok && claim.held() {
			return claimHeldError(ctx, claim, "delete the Service, or take the "+claim.noun+" from it, instead")
		}
		return nil
	}
	return g.Interface.Delete(ctx, key, out, preconditions, validate, cachedExistingObject, opts)
}

// GuaranteedUpdate implements storage.Interface.
func (g *guard) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cachedExistingObject runtime.Object) error {
	guarded := func(input runtime.Object, res storage.ResponseMeta) (runtime.Object, *uint64, error) {
		if claim, ok := guardedClaimOf(input); !ok || !claim.held() {
			return tryUpdate(input, res)
		}
		// tryUpdate may change its input and hand that back.
		before := input.DeepCopyObject()
		output, ttl, err := tryUpdate(input, res)
		if err != nil {
			return output, ttl, err
		}
		if err := checkGuardedUpdate(ctx, before, output); err != nil {
			return nil, nil, err
		}
		return output, ttl, nil
	}
	return g.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, guarded, cachedExistingObject)
}

func checkGuardedUpdate(ctx context.Context, before, after runtime.Object) error {
	claim, _ := guardedClaimOf(before)
	changed, ok := guardedClaimOf(after)
	if !ok {
		return apierrors.NewInternalError(fmt.Errorf("a claim became a %T", after))
	}
	if claim.meta.DeletionTimestamp == nil && changed.meta.DeletionTimestamp != nil {
		return claimHeldError(ctx, claim, "delete the Service, or take the "+claim.noun+" from it, instead")
	}
	if !sameSpec(before, after) {
		return claimHeldError(ctx, claim, "the "+claim.noun+" follows the Service, change that instead")
	}
	if problem := checkContents(claim, changed); problem != "" {
		return claimHeldError(ctx, claim, problem+" while the Service holds the "+claim.noun)
	}
	return nil
}

func claimHeldError(ctx context.Context, claim guardedClaim, advice string) error {
	held := fmt.Errorf("the %s is held by %s: %s", claim.noun, apigroup.Holder(ctx, claim.parent.Holder()), advice)
	return apierrors.NewConflict(apigroup.Resource(ctx, claim.resource), claim.meta.Name, held)
}
