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

// Reserved returns the values of a class that are reserved for a Service and that a range
// lets it have. It records in picks what the index has.
func (l *Ledger) Reserved(who Requester, class allocation.Class, picks *requeststate.Picks) []allocation.Reservation {
	reserved := l.Index.Reserved(class, nameOfService(who.svc))
	picks.SetKnown(class, slices.Clone(reserved))
	return slices.DeleteFunc(reserved, func(r allocation.Reservation) bool {
		_, err := l.Index.Covering(r.Value, who.Of(class))
		return err != nil
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

// takeOver makes the reservation of a value the claim of the Service, and guards it. The
// claim keeps the labels and annotations, which belong to users. It returns nil if there
// is no reservation for the Service anymore, or if an expired one is for another Service.
func (l *Ledger) takeOver(ctx context.Context, guard *txn.Guard, a *attempt, c change, value allocation.Value) (runtime.Object, error) {
	k := l.stored[value.Class]
	kv, err := l.readClaim(ctx, value)
	if err != nil || kv == nil {
		return nil, err
	}
	obj := k.newClaim()
	if err := k.claims.Decode(ctx, kv, obj); err != nil {
		return nil, err
	}
	claim, _ := k.claim(obj)
	reservation := claim.at(kv.ModRevision)
	if !l.mayTake(c.owner, reservation) {
		return nil, nil
	}
	guard.Revision = kv.ModRevision
	if c.force {
		guard.Creation = kv.CreateRevision
	}
	if service := a.recordTaken(value, reservation); service != nameOfService(c.owner) {
		return nil, nil
	}
	claim.giveTo(c.owner, c.after[value].protocols)
	for label, text := range k.heldLabels(claim.meta.Name) {
		metav1.SetMetaDataLabel(claim.meta, label, text)
	}
	return obj, nil
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

// putReservation plans to make a claim of the Service a reservation for it.
func (l *Ledger) putReservation(ctx context.Context, plan *txn.Plan, a *attempt, c change, value allocation.Value,
	obj runtime.Object) error {
	l.stored[value.Class].reserve(obj, a.owner, c.retain.expires)
	claim, _ := contentsOf(obj)
	claim.reserveFor(a.owner)
	a.reserved[value] = claim.at(0)
	return l.putClaim(ctx, plan, a, value, obj)
}

// reserveFor makes a claim of a Service a reservation for it.
func (c contents) reserveFor(owner *v1.Service) {
	disown(c.meta)
	*c.parent = *v1.HolderOf(owner)
	c.parent.UID = ""
	delete(c.meta.Labels, v1.LabelManagedBy)
}

// keepReleased makes the values that a deleted Service would release those that it retains.
// Those that several Services can hold are released: the last holder retains them.
func (a *attempt) keepReleased(before holdings) {
	released := a.release
	a.release = nil
	for _, value := range released {
		if before[value].share != nil {
			a.release = append(a.release, value)
		} else {
			a.retain = append(a.retain, value)
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
