package claims

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// unsharedError reports a value that the Service can't share with its holders.
type unsharedError struct {
	value     allocation.Value
	objection *allocation.Objection
}

func (e *unsharedError) Error() string {
	return fmt.Sprintf("%s is held by %s", e.value, e.objection.Holder.Holder())
}

// planShare plans the Service's new share of a value that several Services can hold, or the
// end of its share. It reads the claim, and guards the revision that it has read: the other
// holders, and labels of users, stay as they are. The Service takes over a reservation for
// it, or for one with which it could share the value. The error is an *unsharedError if the
// other holders object.
func (l *Ledger) planShare(ctx context.Context, plan *txn.Plan, a *attempt, c change, value allocation.Value) error {
	k, name := l.stored[value.Class], value.String()
	kv, err := l.readClaim(ctx, value)
	if err != nil {
		return err
	}
	guard, share := a.guard(plan, k.claims.Key(name), value, 0), c.after[value].share
	if kv == nil {
		if share == nil {
			return nil
		}
		return l.putClaim(ctx, plan, a, value, k.heldClaim(name, c.after[value], c.owner))
	}
	guard.Revision = kv.ModRevision
	obj := k.newClaim()
	if err := k.claims.Decode(ctx, kv, obj); err != nil {
		return err
	}
	claim, _ := k.claim(obj)
	current := claim.at(kv.ModRevision)
	joins := !current.HeldBy(c.holder)
	switch {
	case joins && share == nil:
		return nil
	case share == nil:
		return l.planLeave(ctx, plan, a, c, value, obj)
	}
	mayTake := l.mayTake(c.owner, current)
	if !mayTake {
		if err := l.checkShare(ctx, c, value, current, joins); err != nil {
			return err
		}
	}
	if reservedFor := a.recordTaken(value, current); mayTake && reservedFor != nameOfService(c.owner) {
		// The labels of an expired reservation are another's.
		return l.putClaim(ctx, plan, a, value, k.heldClaim(name, c.after[value], c.owner))
	}
	claim.sharing.SharingKey = share.Key
	claim.sharing.Holders = withHolder(claim.sharing.Holders, c.holder, share)
	disown(claim.meta)
	return l.putClaim(ctx, plan, a, value, obj)
}

// planLeave takes the Service out of the holders of a claim. Without other holders, the
// claim becomes a reservation if the Service retains it, or is deleted.
func (l *Ledger) planLeave(ctx context.Context, plan *txn.Plan, a *attempt, c change, value allocation.Value, obj runtime.Object) error {
	claim, _ := contentsOf(obj)
	claim.sharing.Holders = withHolder(claim.sharing.Holders, c.holder, nil)
	switch {
	case len(claim.sharing.Holders) > 0:
		disown(claim.meta)
		return l.putClaim(ctx, plan, a, value, obj)
	case c.retain != nil:
		return l.putReservation(ctx, plan, a, c, value, obj)
	}
	plan.Deletes = append(plan.Deletes, l.claimKey(value))
	return nil
}

// checkShare returns an *unsharedError if the other holders of a claim object to what the
// Service holds from now on. Those that the Service has joined before may be in other
// namespaces, whatever the pool says now.
func (l *Ledger) checkShare(ctx context.Context, c change, value allocation.Value, claim allocation.Claim, joins bool) error {
	share, acrossNamespaces := c.after[value].share, true
	if joins {
		who, err := l.Requester(ctx, c.owner)
		if err != nil {
			return err
		}
		covering, err := l.Index.Covering(value, who.Of(value.Class))
		acrossNamespaces = err == nil && covering.AcrossNamespaces
	}
	if objection := claim.Without(c.holder).Objection(share, acrossNamespaces); objection != nil {
		return &unsharedError{value, objection}
	}
	return nil
}

// withHolder returns holders with a share in the place of a Service's, or without the
// Service if the share is nil.
func withHolder(holders []v1.LoadBalancerIPHolder, service types.UID, share *allocation.Share) []v1.LoadBalancerIPHolder {
	at := slices.IndexFunc(holders, func(h v1.LoadBalancerIPHolder) bool { return h.UID == service })
	switch {
	case share == nil && at >= 0:
		return slices.Delete(holders, at, at+1)
	case share == nil:
		return holders
	case at >= 0:
		holders[at] = share.LoadBalancerIPHolder
		return holders
	}
	return append(holders, share.LoadBalancerIPHolder)
}

// takeTurn waits for the write's turn among those of this replica that use the same sharing
// key. A pick that no other Service has is lost if, meanwhile, there is a value to share:
// the Services of a key that are created at the same time share one address.
func (w *write) takeTurn(ctx context.Context, c change) error {
	if w.leave == nil {
		key := sharingKey(c)
		if key == "" {
			return nil
		}
		var err error
		if w.leave, err = w.ledger.turns.take(ctx, key); err != nil {
			return err
		}
	}
	who, err := w.ledger.Requester(ctx, c.owner)
	if err != nil {
		return err
	}
	var lost []allocation.Value
	for _, value := range diff(c.before, c.after).take {
		if c.after[value].share == nil || !w.picks.Picked(value) {
			continue
		}
		if _, claimed := w.ledger.Index.Lookup(value); claimed {
			continue
		}
		if _, ok := w.ledger.Index.Shareable(value.Class, who.Of(value.Class)); ok {
			lost = append(lost, value)
		}
	}
	if len(lost) > 0 {
		return &retryError{lost: lost}
	}
	return nil
}

// sharingKey returns the key under which the Service of a change shares values, or has
// shared them.
func sharingKey(c change) string {
	for _, held := range []holdings{c.after, c.before} {
		for _, holding := range held {
			if holding.share != nil && holding.share.Key != "" {
				return holding.share.Key
			}
		}
	}
	return ""
}
