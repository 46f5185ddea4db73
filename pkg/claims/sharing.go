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
func (p *planner) planShare(ctx context.Context, value allocation.Value) error {
	k := p.ledger.stored[value.Class]
	kv, err := p.ledger.readClaim(ctx, value)
	if err != nil {
		return err
	}
	p.guardClaim(value, txn.Guard{Key: p.ledger.claimKey(value), Revision: txn.ModRevision(kv)})
	share := p.after[value].share
	switch {
	case kv == nil && share == nil:
		return nil
	case kv == nil:
		return p.putNewClaim(ctx, value)
	}
	obj := k.newClaim()
	if err := k.claims.Decode(ctx, kv, obj); err != nil {
		return err
	}
	claim, _ := k.claim(obj)
	current := claim.at(kv.ModRevision)
	joins := !current.HeldBy(p.holder())
	switch {
	case joins && share == nil:
		return nil
	case share == nil:
		return p.planLeave(ctx, value, obj)
	}
	mayTake := p.ledger.mayTake(p.owner, current)
	if !mayTake {
		if err := p.checkShare(ctx, value, current, joins); err != nil {
			return err
		}
	}
	if reservedFor := p.recordTaken(value, current); mayTake && reservedFor != nameOfService(p.owner) {
		// The labels of an expired reservation are another's.
		return p.putNewClaim(ctx, value)
	}
	claim.sharing.SharingKey = share.Key
	claim.sharing.Holders = withHolder(claim.sharing.Holders, p.holder(), share)
	disown(claim.meta)
	return p.putClaim(ctx, value, obj)
}

// planLeave takes the Service out of the holders of a claim. Without other holders, the
// claim becomes a reservation if the Service retains it, or is deleted.
func (p *planner) planLeave(ctx context.Context, value allocation.Value, obj runtime.Object) error {
	claim, _ := contentsOf(obj)
	claim.sharing.Holders = withHolder(claim.sharing.Holders, p.holder(), nil)
	switch {
	case len(claim.sharing.Holders) > 0:
		disown(claim.meta)
		return p.putClaim(ctx, value, obj)
	case p.retain != nil:
		return p.putReservation(ctx, value, obj)
	}
	p.plan.Deletes = append(p.plan.Deletes, p.ledger.claimKey(value))
	return nil
}

// checkShare returns an *unsharedError if the other holders of a claim object to what the
// Service holds from now on. Those that the Service has joined before may be in other
// namespaces, whatever the pool says now.
func (p *planner) checkShare(ctx context.Context, value allocation.Value, claim allocation.Claim, joins bool) error {
	across := true
	if joins {
		who, err := p.ledger.Requester(ctx, p.owner)
		if err != nil {
			return err
		}
		across = p.ledger.acrossNamespaces(who, value)
	}
	if objection := claim.Without(p.holder()).Objection(p.after[value].share, across); objection != nil {
		return &unsharedError{value, objection}
	}
	return nil
}

// checkUsers returns an *unsharedError if other Services use a value without a claim, and
// object to what the Service would hold.
func (p *planner) checkUsers(ctx context.Context, value allocation.Value) error {
	if len(p.ledger.Index.Users(value)) == 0 {
		return nil
	}
	if err := p.ledger.learnUsers(ctx, value); err != nil {
		return err
	}
	who, err := p.ledger.Requester(ctx, p.owner)
	if err != nil {
		return err
	}
	if objection := p.ledger.objectionOfUsers(who, value); objection != nil {
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
