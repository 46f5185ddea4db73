package claims

import (
	"context"

	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// planRewrites updates the protocols or ports, and the holder, of claims that the Service
// keeps. Claims of others stay as they are.
func (p *planner) planRewrites(ctx context.Context) error {
	wanted := p.rewrite
	p.rewrite = nil
	for _, value := range wanted {
		own, err := p.planRewrite(ctx, value)
		if err != nil {
			return err
		}
		if own {
			p.rewrite = append(p.rewrite, value)
		}
	}
	return nil
}

// planRewrite reports false for a claim that is not the Service's.
func (p *planner) planRewrite(ctx context.Context, value allocation.Value) (own bool, err error) {
	if p.after[value].share != nil {
		return true, p.planShare(ctx, value)
	}
	obj, err := p.readOwn(ctx, value)
	if err != nil || obj == nil {
		return false, err
	}
	claim, _ := contentsOf(obj)
	claim.giveTo(p.owner, p.after[value].protocols)
	return true, p.putClaim(ctx, value, obj)
}

// readOwn reads and guards a claim of the Service. The labels and annotations of a claim
// belong to users, and stay; the fields that only the server may set do not. It returns nil
// for a claim that does not exist or that another object holds, which is left alone.
func (p *planner) readOwn(ctx context.Context, value allocation.Value) (runtime.Object, error) {
	k := p.ledger.stored[value.Class]
	key := k.claims.Key(value.String())
	found, err := p.ledger.client.Get(ctx, key, kubernetes.GetOptions{})
	if err != nil {
		return nil, err
	}
	guard := txn.Guard{Key: key, Revision: txn.ModRevision(found.KV)}
	if found.KV != nil && p.force {
		guard.Creation = found.KV.CreateRevision
	}
	p.guardClaim(value, guard)
	if found.KV == nil {
		return nil, nil
	}
	obj := k.newClaim()
	if err := k.claims.Decode(ctx, found.KV, obj); err != nil {
		return nil, err
	}
	if claim, _ := k.claim(obj); claim.parent == nil || claim.parent.UID != p.holder() {
		return nil, nil
	}
	return obj, nil
}
