package claims

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/apigroup"
	"github.com/portolan-dev/portolan/pkg/cascade"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// maxAttempts bounds the attempts of one storage call whose transaction is rejected
// because a claim or a range differs from the index. Each rejection brings the index up
// to date on every key of the transaction, so the next attempt fails only if something
// has changed again in between.
const maxAttempts = 8

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

func (s *Storage) begin(ctx context.Context) (context.Context, *write) {
	w := &write{
		ledger: s.ledger, groupKind: apigroup.Kind(ctx, "services", "Service"), picks: requeststate.From(ctx).Picks, plan: &txn.Plan{},
		observer: s.ledger.observe(), began: time.Now(),
	}
	if requeststate.IsDryRun(ctx) {
		w.observer = silent{}
	}
	w.done = w.picks.BeginWrite()
	return txn.WithPlan(ctx, w.plan), w
}

// Create writes a Service and its claims.
func (s *Storage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) (err error) {
	svc, err := serviceOf(obj)
	if err != nil {
		return err
	}
	ctx, w := s.begin(ctx)
	defer func() { w.end(err) }()
	if cause := w.picks.Refusal(); cause != nil {
		return s.unlessExists(ctx, key, w.refusal(svc, cause))
	}
	for range maxAttempts {
		err := w.prepare(ctx, change{owner: svc, after: holdingsOf(svc), holder: svc.UID})
		planned := err == nil
		if planned {
			err = w.settle(ctx, s.Interface.Create(ctx, key, obj, out, ttl))
		}
		again, ok := errors.AsType[*retryError](err)
		switch {
		case ok:
			err = w.pickAgain(ctx, svc, again.lost)
		case planned:
			return err
		}
		if err != nil {
			return s.unlessExists(ctx, key, err)
		}
	}
	return errContended(svc)
}

// unlessExists returns AlreadyExists if the object exists, and else the refusal.
func (s *Storage) unlessExists(ctx context.Context, key string, refusal error) error {
	if err := s.Interface.Get(ctx, key, storage.GetOptions{}, &v1.Service{}); err == nil {
		return storage.NewKeyExistsError(key, 0)
	}
	return refusal
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
		before := holdingsOf(stored)
		output, ttl, err := tryUpdate(input, res)
		if err != nil {
			return nil, nil, err
		}
		if owner, err = serviceOf(output); err != nil {
			return nil, nil, err
		}
		if cause := w.picks.Refusal(); cause != nil {
			return nil, nil, w.refusal(owner, cause)
		}
		after := holdingsOf(owner)
		err = w.prepare(ctx, change{
			owner: owner, before: before, after: after, holder: stored.UID, strict: func() bool { return isStrict(stored, owner) },
		})
		if again, ok := errors.AsType[*retryError](err); ok {
			// The store runs this again by itself if input was outdated.
			w.picks.Lose(again.lost)
		}
		return output, ttl, err
	}
	for range maxAttempts {
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

// Delete deletes a Service, its claims and its dependents.
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
		if err := w.prepare(ctx, change{owner: owner, before: holdingsOf(owner), holder: owner.UID}); err != nil {
			return err
		}
		return dependents.Plan(ctx, w.plan, owner)
	}
	for range maxAttempts {
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
