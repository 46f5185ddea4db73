package claims

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/txn"
)

const listingBusy = "the reservations of the Service were changed by others in each attempt; try again"

// ReservationStorage is the store of IPAddresses, NodePorts or LoadBalancerIPs for users, who
// make reservations there. It keeps the listings of Services. It enters reservations into the
// index ahead of the watch, so that the next request knows them.
type ReservationStorage struct {
	storage.Interface
	ledger *Ledger
}

var _ storage.Interface = &ReservationStorage{}

// NewReservationStorage wraps the store of a resource of claims, which must write through
// txn.Decorate's client.
func NewReservationStorage(inner storage.Interface, ledger *Ledger) *ReservationStorage {
	return &ReservationStorage{Interface: ProtectHeld(inner), ledger: ledger}
}

// Create writes a reservation.
func (s *ReservationStorage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	plan := &txn.Plan{}
	err := retry{plan: plan, attempts: maxAttempts, busy: listingBusy}.do(ctx, func(ctx context.Context) error {
		plan.Reset()
		value, listed, err := s.listingOf(ctx, obj)
		if err != nil {
			return err
		}
		if listed != nil {
			listed.change(plan, nil, value)
		}
		return s.Interface.Create(ctx, key, obj, out, ttl)
	})
	if err == nil {
		s.enter(ctx, out)
	}
	return err
}

// GuaranteedUpdate changes a reservation.
func (s *ReservationStorage) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object) error {
	err := s.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, tryUpdate, cached)
	if err == nil {
		s.enter(ctx, destination)
	}
	return err
}

// Delete deletes a reservation.
func (s *ReservationStorage) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validateDeletion storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions) error {
	plan := &txn.Plan{}
	validate := func(ctx context.Context, obj runtime.Object) error {
		if err := validateDeletion(ctx, obj); err != nil {
			return err
		}
		plan.Reset()
		value, listed, err := s.listingOf(ctx, obj)
		if err != nil || listed == nil {
			return err
		}
		listed.change(plan, func(other allocation.Value) bool { return other == value })
		return nil
	}
	return retry{plan: plan, attempts: maxAttempts, busy: listingBusy}.do(ctx, func(ctx context.Context) error {
		return s.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts)
	})
}

// listingOf returns the value of a claim and the listing that it belongs to, which is nil
// for a claim that is reserved for no Service.
func (s *ReservationStorage) listingOf(ctx context.Context, obj runtime.Object) (allocation.Value, *listing, error) {
	for _, k := range kinds() {
		value, claim, ok := claimed(k, obj)
		if !ok {
			continue
		}
		service, reserved := claim.ReservedFor()
		if !reserved {
			break
		}
		listed, err := s.ledger.readListing(ctx, service)
		return value, &listed, err
	}
	return allocation.Value{}, nil, nil
}

func (s *ReservationStorage) enter(ctx context.Context, obj runtime.Object) {
	if requeststate.IsDryRun(ctx) {
		return
	}
	for _, k := range kinds() {
		if value, claim, ok := claimed(k, obj); ok {
			s.ledger.Index.Observe(value, claim)
		}
	}
}
