package claims

import (
	"context"

	"go.etcd.io/etcd/client/v3/kubernetes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// planRewrites updates the protocols or ports, and the holder, of claims that the Service
// keeps, and makes reservations of those that it retains.
func (l *Ledger) planRewrites(ctx context.Context, plan *txn.Plan, a *attempt, c change) error {
	wanted := a.rewrite
	a.rewrite = nil
	for _, value := range wanted {
		if c.after[value].share != nil {
			if err := l.planShare(ctx, plan, a, c, value); err != nil {
				return err
			}
			a.rewrite = append(a.rewrite, value)
			continue
		}
		obj, err := l.readOwn(ctx, plan, a, c, value)
		if err != nil {
			return err
		}
		if obj == nil {
			continue
		}
		claim, _ := contentsOf(obj)
		claim.giveTo(a.owner, c.after[value].protocols)
		if err := l.putClaim(ctx, plan, a, value, obj); err != nil {
			return err
		}
		a.rewrite = append(a.rewrite, value)
	}
	for _, value := range a.retain {
		obj, err := l.readOwn(ctx, plan, a, c, value)
		if err != nil {
			return err
		}
		if obj == nil {
			continue
		}
		if err := l.putReservation(ctx, plan, a, c, value, obj); err != nil {
			return err
		}
	}
	return nil
}

// readOwn reads and guards a claim of the Service. The labels and annotations of a claim
// belong to users, and stay; the fields that only the server may set do not. It returns nil
// for a claim that does not exist or that another object holds, which is left alone.
func (l *Ledger) readOwn(ctx context.Context, plan *txn.Plan, a *attempt, c change, value allocation.Value) (runtime.Object, error) {
	k := l.stored[value.Class]
	key := k.claims.Key(value.String())
	found, err := l.client.Get(ctx, key, kubernetes.GetOptions{})
	if err != nil {
		return nil, err
	}
	guard := a.guard(plan, key, value, 0)
	if found.KV == nil {
		return nil, nil
	}
	guard.Revision = found.KV.ModRevision
	if c.force {
		guard.Creation = found.KV.CreateRevision
	}
	obj := k.newClaim()
	if err := k.claims.Decode(ctx, found.KV, obj); err != nil {
		return nil, err
	}
	if claim, _ := k.claim(obj); claim.parent == nil || claim.parent.UID != a.holder {
		return nil, nil
	}
	return obj, nil
}

// putClaim adds a claim to the plan, and to the shared claims of the attempt if several
// Services can hold it.
func (l *Ledger) putClaim(ctx context.Context, plan *txn.Plan, a *attempt, value allocation.Value, obj runtime.Object) error {
	k := l.stored[value.Class]
	put, err := k.claims.Encode(ctx, value.String(), obj)
	if err != nil {
		return err
	}
	plan.Puts = append(plan.Puts, put)
	if claim, _ := k.claim(obj); claim.sharing != nil {
		if a.shared == nil {
			a.shared = map[allocation.Value]allocation.Claim{}
		}
		a.shared[value] = claim.at(0)
	}
	return nil
}

// disown removes everything from a claim that would let another object than its Service
// decide when it is deleted.
func disown(claim *metav1.ObjectMeta) {
	claim.Finalizers, claim.OwnerReferences = nil, nil
	claim.DeletionTimestamp, claim.DeletionGracePeriodSeconds = nil, nil
}
