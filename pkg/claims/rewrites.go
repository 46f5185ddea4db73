package claims

import (
	"context"

	"go.etcd.io/etcd/client/v3/kubernetes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// planRewrites keeps the protocols of node ports that the Service goes on
// holding. It has to read the claims, for the labels and annotations of users.
// What only the server may set is set anew.
// A claim that is gone or another's is left alone, and is no rewrite then.
func (l *Ledger) planRewrites(ctx context.Context, plan *txn.Plan, a *attempt, c change) error {
	wanted := a.rewrite
	a.rewrite = nil
	for _, value := range wanted {
		key := l.ports.Key(value.String())
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
		var port v1.NodePort
		if err := l.ports.Decode(ctx, found.KV, &port); err != nil {
			return err
		}
		if port.Spec.ParentRef == nil || port.Spec.ParentRef.UID != a.owner.UID {
			continue
		}
		disown(&port.ObjectMeta)
		port.Spec.Protocols = c.after[value]
		put, err := l.ports.Encode(ctx, port.Name, &port)
		if err != nil {
			return err
		}
		plan.Puts = append(plan.Puts, put)
		a.rewrite = append(a.rewrite, value)
	}
	return nil
}

// disown takes from a claim what would let something other than its Service
// decide when it goes.
func disown(claim *metav1.ObjectMeta) {
	claim.Finalizers, claim.OwnerReferences = nil, nil
	claim.DeletionTimestamp, claim.DeletionGracePeriodSeconds = nil, nil
}
