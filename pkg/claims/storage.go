package claims

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/cascade"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// Storage is the store of Services with their claims. Reads pass through unchanged.
type Storage struct {
	storage.Interface
	ledger  *Ledger
	cascade *cascade.Cascade
}

var _ storage.Interface = &Storage{}

// NewStorage wraps the store of Services, which must write through txn.Decorate's client.
// It belongs below the watch cache, where it sees the objects of each attempt.
func NewStorage(inner storage.Interface, ledger *Ledger, dependents *cascade.Cascade) *Storage {
	return &Storage{Interface: inner, ledger: ledger, cascade: dependents}
}

// begin begins a write, whose plan the returned context carries. The caller must end it.
func (s *Storage) begin(ctx context.Context) (context.Context, *write) {
	w := newWrite(ctx, s.ledger)
	return txn.WithPlan(ctx, w.plan), w
}

// Create writes a Service and its claims. A pick that was lost is replaced by another.
func (s *Storage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) (err error) {
	svc, err := serviceOf(obj)
	if err != nil {
		return err
	}
	ctx, w := s.begin(ctx)
	defer func() { w.end(err) }()
	if cause := w.picks.Rejection(); cause != nil {
		return s.unlessExists(ctx, key, created(svc, w.rejectUnlessReserved(ctx, svc, cause)))
	}
	for w.mayTry() {
		err := w.prepare(ctx, change{owner: svc, after: holdingsOf(svc)})
		prepared := err == nil
		if prepared {
			err = w.settle(ctx, s.Interface.Create(ctx, key, obj, out, ttl))
		}
		again, ok := errors.AsType[*retryError](err)
		switch {
		case ok && !again.reserved:
			err = w.pickAgain(ctx, svc, again.lost)
		case prepared:
			// It is the store's own, such as AlreadyExists.
			return err
		}
		if err != nil {
			return s.unlessExists(ctx, key, created(svc, err))
		}
	}
	return errContended(svc)
}

// created returns the error of a create. Its admission can't run again here, so the client
// must retry if there are reservations that admission did not know.
func created(svc *v1.Service, err error) error {
	if again, ok := errors.AsType[*retryError](err); ok && again.reserved {
		return errReserved(svc)
	}
	return err
}

// unlessExists returns AlreadyExists if the object exists, and else the rejection.
func (s *Storage) unlessExists(ctx context.Context, key string, rejection error) error {
	if err := s.Interface.Get(ctx, key, storage.GetOptions{}, &v1.Service{}); err == nil {
		return storage.NewKeyExistsError(key, 0)
	}
	return rejection
}

// GuaranteedUpdate writes a Service and the changes of its claims. A pick that was lost
// is replaced by running tryUpdate again, which passes through admission.
func (s *Storage) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object) (err error) {
	ctx, w := s.begin(ctx)
	defer func() { w.end(err) }()
	var owner *v1.Service
	update := func(input runtime.Object, res storage.ResponseMeta) (runtime.Object, *uint64, error) {
		stored, err := serviceOf(input)
		if err != nil {
			return nil, nil, err
		}
		w.picks.ClearFailures()
		// tryUpdate may change its input.
		stored = stored.DeepCopy()
		output, ttl, err := tryUpdate(input, res)
		if err != nil {
			return nil, nil, err
		}
		if owner, err = serviceOf(output); err != nil {
			return nil, nil, err
		}
		if cause := w.picks.Rejection(); cause != nil {
			return nil, nil, w.rejectUnlessReserved(ctx, owner, cause)
		}
		err = w.prepare(ctx, change{owner: owner, stored: stored, before: holdingsOf(stored), after: holdingsOf(owner)})
		if again, ok := errors.AsType[*retryError](err); ok {
			// The store runs this again by itself if input was outdated.
			w.picks.Lose(again.lost)
		}
		return output, ttl, err
	}
	for w.mayTry() {
		err := w.settle(ctx, s.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, update, cached))
		again, ok := errors.AsType[*retryError](err)
		if !ok {
			return err
		}
		w.picks.Lose(again.lost)
		cached = nil
	}
	return errContended(owner)
}

// Delete deletes a Service, its claims and its dependents. Claims that the Service retains
// become reservations for it.
func (s *Storage) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validateDeletion storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions) (err error) {
	ctx, w := s.begin(ctx)
	defer func() { w.end(err) }()
	dependents := s.cascade.Begin()
	var owner *v1.Service
	validate := func(ctx context.Context, obj runtime.Object) error {
		if err := validateDeletion(ctx, obj); err != nil {
			return err
		}
		var err error
		if owner, err = serviceOf(obj); err != nil {
			return err
		}
		err = w.prepare(ctx, change{owner: owner, stored: owner, before: holdingsOf(owner), retain: retentionOf(owner, time.Now())})
		if err != nil {
			return err
		}
		return dependents.Plan(ctx, w.plan, owner)
	}
	for w.mayTry() {
		err := s.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts)
		if dependents.Learn(err) {
			continue
		}
		err = w.settle(ctx, err)
		if _, again := errors.AsType[*retryError](err); !again {
			return err
		}
		cached = nil
	}
	return errContended(owner)
}
