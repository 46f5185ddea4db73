package claims

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// Reserved returns the values of a class that are reserved for a Service, that a range lets it
// have and that no other Service uses. It records in picks what the index has.
func (l *Ledger) Reserved(who Requester, class allocation.Class, picks *requeststate.Picks) []allocation.Reservation {
	reserved := l.Index.Reserved(class, nameOfService(who.svc))
	picks.SetKnown(class, slices.Clone(reserved))
	return slices.DeleteFunc(reserved, func(r allocation.Reservation) bool {
		_, err := l.Index.Covering(r.Value, who.Of(class))
		return err != nil || l.objectionOfUsers(who, r.Value) != nil
	})
}

func nameOfService(svc *v1.Service) types.NamespacedName {
	return types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name}
}

// mayTake reports whether a Service can claim a value on which there is a claim, because
// that is a reservation for the Service or has expired.
func (l *Ledger) mayTake(svc *v1.Service, claim allocation.Claim) bool {
	return l.Index.MayTake(claim, nameOfService(svc))
}

// mayHaveReservations reports whether a Service may have reservations that the index does
// not know yet. A server without any, and a Service that retains nothing, have no cost.
func (l *Ledger) mayHaveReservations(svc *v1.Service) bool {
	_, retained := v1.Retention(svc)
	return retained || l.Index.HasReservations()
}

// takeOver makes the reservation of a value the claim of the Service. The claim keeps the
// labels and annotations, which belong to users, unless an expired reservation was for
// another Service. The value is claimed like a free one if there is no reservation for the
// Service anymore.
func (p *planner) takeOver(ctx context.Context, value allocation.Value) error {
	kv, err := p.ledger.readClaim(ctx, value)
	if err != nil {
		return err
	}
	if kv == nil {
		return p.claimFree(ctx, value)
	}
	k := p.ledger.stored[value.Class]
	obj := k.newClaim()
	if err := k.claims.Decode(ctx, kv, obj); err != nil {
		return err
	}
	claim, _ := k.claim(obj)
	reservation := claim.at(kv.ModRevision)
	if !p.ledger.mayTake(p.owner, reservation) {
		return p.claimFree(ctx, value)
	}
	guard := txn.Guard{Key: p.ledger.claimKey(value), Revision: kv.ModRevision}
	if p.force {
		guard.Creation = kv.CreateRevision
	}
	p.guardClaim(value, guard)
	if service := p.recordTaken(value, reservation); service != nameOfService(p.owner) {
		return p.putNewClaim(ctx, value)
	}
	claim.giveTo(p.owner, p.after[value].protocols)
	for label, text := range k.heldLabels(claim.meta.Name) {
		metav1.SetMetaDataLabel(claim.meta, label, text)
	}
	return p.putClaim(ctx, value, obj)
}

// recordTaken records that the attempt takes a value that may be reserved, and returns the
// Service that it is reserved for, zero for none.
func (a *attempt) recordTaken(value allocation.Value, claim allocation.Claim) types.NamespacedName {
	service, reserved := claim.ReservedFor()
	if reserved {
		if a.taken == nil {
			a.taken = map[types.NamespacedName][]allocation.Value{}
		}
		a.taken[service] = append(a.taken[service], value)
	}
	return service
}

// giveTo makes a claim that of a Service, which serves the protocols there.
func (c contents) giveTo(owner *v1.Service, protocols []corev1.Protocol) {
	disown(c.meta)
	*c.parent = *v1.HolderOf(owner)
	if c.protocols != nil {
		*c.protocols = protocols
	}
}

// disown removes everything from a claim that would let another object than its Service
// decide when it is deleted.
func disown(claim *metav1.ObjectMeta) {
	claim.Finalizers, claim.OwnerReferences = nil, nil
	claim.DeletionTimestamp, claim.DeletionGracePeriodSeconds = nil, nil
}

// planReservations makes reservations of the claims that a deleted Service retains.
func (p *planner) planReservations(ctx context.Context) error {
	for _, value := range p.retained {
		obj, err := p.readOwn(ctx, value)
		if err != nil {
			return err
		}
		if obj == nil {
			continue
		}
		if err := p.putReservation(ctx, value, obj); err != nil {
			return err
		}
	}
	return nil
}

// putReservation makes a claim of the Service a reservation for it.
func (p *planner) putReservation(ctx context.Context, value allocation.Value, obj runtime.Object) error {
	p.ledger.stored[value.Class].reserve(obj, p.owner, p.retain.expires)
	claim, _ := contentsOf(obj)
	claim.reserveFor(p.owner)
	p.reserved[value] = claim.at(0)
	return p.putClaim(ctx, value, obj)
}

// reserveFor makes a claim of a Service a reservation for it.
func (c contents) reserveFor(owner *v1.Service) {
	disown(c.meta)
	*c.parent = *v1.HolderOf(owner)
	c.parent.UID = ""
	delete(c.meta.Labels, v1.LabelManagedBy)
}

// retainReleased retains the values that the deletion of a Service would release. It
// releases those that several Services can hold: the last holder retains them.
func (p *planner) retainReleased() {
	p.reserved = map[allocation.Value]allocation.Claim{}
	released := p.release
	p.release = nil
	for _, value := range released {
		if p.before[value].share != nil {
			p.release = append(p.release, value)
		} else {
			p.retained = append(p.retained, value)
		}
	}
}

// retention says until when what a Service holds stays reserved for it after its deletion.
type retention struct {
	// expires is nil for ever.
	expires *metav1.Time
}

// retentionOf returns the retention of a Service that is deleted now, nil if it has none. A
// copy of a cluster's Service has none: what it holds is the cluster's to give away.
func retentionOf(svc *v1.Service, now time.Time) *retention {
	duration, retained := v1.Retention(svc)
	if v1.IsMirrored(svc) || !retained {
		return nil
	}
	if duration == 0 {
		return &retention{}
	}
	// Times are stored in whole seconds.
	return &retention{expires: &metav1.Time{Time: now.Add(duration + time.Second - 1).Truncate(time.Second)}}
}
