package claims

import (
	"context"

	"go.etcd.io/etcd/client/v3/kubernetes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// planRewrites updates the protocols or ports, and the holder, of claims that the Service keeps. It reads
// the claims, whose labels and annotations belong to users, and resets the fields that only
// the server may set. It leaves a claim alone that does not exist or that another object
// holds, and takes it off the list of rewrites.
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
		k := l.stored[value.Class]
		key := k.claims.Key(value.String())
		found, err := l.client.Get(ctx, key, kubernetes.GetOptions{})
		if err != nil {
			return err
		}
		guard := a.guard(plan, key, value, 0)
		if found.KV == nil {
			continue
		}
		guard.Revision = found.KV.ModRevision
		if c.force {
			guard.Creation = found.KV.CreateRevision
		}
		obj := k.newClaim()
		if err := k.claims.Decode(ctx, found.KV, obj); err != nil {
			return err
		}
		claim, _ := k.claim(obj)
		if claim.parent == nil || claim.parent.UID != a.holder {
			continue
		}
		disown(claim.meta)
		*claim.parent = *v1.HolderOf(a.owner)
		if claim.protocols != nil {
			*claim.protocols = c.after[value].protocols
		}
		put, err := k.claims.Encode(ctx, claim.meta.Name, obj)
		if err != nil {
			return err
		}
		plan.Puts = append(plan.Puts, put)
		a.rewrite = append(a.rewrite, value)
	}
	return nil
}

// disown removes everything from a claim that would let another object than its Service
// decide when it is deleted.
func disown(claim *metav1.ObjectMeta) {
	claim.Finalizers, claim.OwnerReferences = nil, nil
	claim.DeletionTimestamp, claim.DeletionGracePeriodSeconds = nil, nil
}
