package claims

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/apigroup"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// maxAttempts bounds the attempts of one storage call whose transaction is rejected
// because a claim or a range differs from the index. Each rejection brings the index up
// to date on every key of the transaction, so the next attempt fails only if something
// has changed again in between.
const maxAttempts = 8

// maxSharedAttempts is the bound for a write that joins or leaves other holders of a value.
// Each of them may do so in between. Those of this replica take turns. It is also the bound
// for a write that takes permits: other replicas may take the same ones when few are left.
const maxSharedAttempts = 64

// write is one storage call, over all its attempts.
type write struct {
	ledger *Ledger
	// groupKind is the kind of a Service in the API group of the request.
	groupKind schema.GroupKind
	picks     *requeststate.Picks
	charges   *charges
	plan      *txn.Plan
	// last is the attempt that was planned last.
	last *attempt
	findings

	observer Observer
	began    time.Time
	attempts int
	// calls counts the calls of the store that the write wraps.
	calls int
	// done tells the picks that the write has ended.
	done func()
	// leave ends the write's turn. It is nil if it has none.
	leave func()
}

func newWrite(ctx context.Context, ledger *Ledger) *write {
	picks := requeststate.From(ctx).Picks
	w := &write{
		ledger: ledger, groupKind: apigroup.Kind(ctx, "services", "Service"), picks: picks, plan: &txn.Plan{},
		charges: newCharges(), observer: ledger.observe(), began: time.Now(), done: picks.BeginWrite(),
	}
	if requeststate.IsDryRun(ctx) {
		w.observer = silent{}
	}
	return w
}

// mayTry reports whether the write may call the store once more.
func (w *write) mayTry() bool {
	limit := maxAttempts
	if w.leave != nil || w.last != nil && len(w.last.permits) > 0 {
		limit = maxSharedAttempts
	}
	w.calls++
	return w.calls <= limit
}

// end must be called with the error that the storage call returns.
func (w *write) end(err error) {
	w.done()
	w.charges.drop()
	if w.leave != nil {
		w.leave()
	}
	if w.attempts > 0 {
		w.observer.Wrote(w.attempts)
	}
	if !apierrors.IsInvalid(err) {
		w.picks.ClearFailures()
	}
}

// retryError says that the write must make another attempt. It never leaves the package.
type retryError struct {
	// lost are the picks of the attempt that another write has claimed, or whose range is
	// gone. The next attempt needs others in their place.
	lost []allocation.Value
	// reserved is true if values are reserved for the Service that admission did not know.
	reserved bool
}

func (e *retryError) Error() string { return "what the write relies on has changed" }

// prepare plans the next attempt. It returns a *retryError if picks of this one lie in no
// usable range anymore.
func (w *write) prepare(ctx context.Context, c change) error {
	w.attempts++
	w.force = w.attempts > maxAttempts/2
	w.charges.drop()
	c.findings, c.picks, c.charges = w.findings, w.picks, w.charges
	if err := w.takeTurn(ctx, c); err != nil {
		return err
	}
	attempt, err := w.ledger.plan(ctx, w.plan, c)
	if exceeded, ok := errors.AsType[*exceededError](err); ok && w.withhold(&c, exceeded) {
		w.charges.drop()
		attempt, err = w.ledger.plan(ctx, w.plan, c)
	}
	if err != nil {
		return w.unplanned(ctx, c, err)
	}
	w.last = attempt
	return nil
}

// unplanned returns the error of a write for the reason why a change can't be planned. A
// value that was picked is lost, and one that the client named ends the write.
func (w *write) unplanned(ctx context.Context, c change, err error) error {
	if outside, ok := errors.AsType[*outOfRangeError](err); ok {
		if w.picks.Picked(outside.value) {
			return w.retryOutside(ctx, c)
		}
		return w.reject(c.owner, outside.value, w.ledger.outOfRange(c.owner, outside))
	}
	if unshared, ok := errors.AsType[*unsharedError](err); ok {
		if w.picks.Picked(unshared.value) {
			w.observer.Lost(unshared.value.Class)
			return &retryError{lost: []allocation.Value{unshared.value}}
		}
		return w.reject(c.owner, unshared.value, w.ledger.taken(ctx, c.owner, unshared.value, unshared.objection))
	}
	if exceeded, ok := errors.AsType[*exceededError](err); ok {
		return apierrors.NewForbidden(apigroup.Resource(ctx, "services"), c.owner.Name, exceeded)
	}
	return err
}

// retryOutside returns a *retryError with the picks of an attempt that lie in no usable
// range anymore, or in none that serves the Service.
func (w *write) retryOutside(ctx context.Context, c change) error {
	who, err := w.ledger.Requester(ctx, c.owner)
	if err != nil {
		return err
	}
	outside := filter(diff(c.before, c.after).take, func(value allocation.Value) bool {
		_, err := w.ledger.Index.Covering(value, who.Of(value.Class))
		return err != nil && w.picks.Picked(value)
	})
	for _, value := range outside {
		w.observer.Lost(value.Class)
	}
	return &retryError{lost: outside}
}

// settle takes the error of the store's call and returns that of the write. A *retryError
// says that the call must be made again.
func (w *write) settle(ctx context.Context, err error) error {
	switch outcome, revision := w.plan.Outcome(); outcome {
	case txn.Committed:
		w.ledger.committed(w.last, revision)
		w.charges.claimed()
		w.allocated(w.picks.Claimed(w.last.take), revision)
		return err
	case txn.Unknown:
		w.picks.RecordUnanswered()
		w.charges.claimed()
		return err
	case txn.Tried:
		return err
	}
	if conflict, ok := errors.AsType[*txn.ConflictError](err); ok {
		return w.resolve(ctx, conflict)
	}
	return interpret(err, w.last)
}

// resolve enters what a rejected transaction found into the index. It rejects the write
// if a value that the client named is taken, or that the Service must keep. Otherwise it
// returns a *retryError with the picks that another write has claimed.
func (w *write) resolve(ctx context.Context, conflict *txn.ConflictError) error {
	if err := w.ledger.learn(ctx, w.last, conflict); err != nil {
		return err
	}
	if err := w.ledger.learnPermits(w.last, w.charges, conflict); err != nil {
		return err
	}
	w.created = w.ledger.creations(w.last, conflict)
	w.relist = w.last.listing != ""
	if value, unavailable := w.ledger.checkUnclaimed(ctx, w.last); unavailable != nil {
		return w.reject(w.last.owner, value, unavailable)
	}
	who, err := w.ledger.Requester(ctx, w.last.owner)
	if err != nil {
		return err
	}
	var lost []allocation.Value
	for _, value := range w.last.take {
		if err := w.ledger.learnUsers(ctx, value); err != nil {
			return err
		}
		switch unavailable := w.ledger.Check(ctx, who, value); {
		case unavailable == nil:
		case w.picks.Picked(value):
			lost = append(lost, value)
			w.observer.Lost(value.Class)
		default:
			return w.reject(w.last.owner, value, unavailable)
		}
	}
	return &retryError{lost: lost}
}

// pickAgain picks other values in place of the lost ones, and puts them into the Service.
// A Service that can do without a value has none if no other is free.
func (w *write) pickAgain(ctx context.Context, svc *v1.Service, lost []allocation.Value) error {
	who, err := w.ledger.Requester(ctx, svc)
	if err != nil {
		return err
	}
	for _, value := range lost {
		k := kindOf(value.Class)
		other, err := w.picks.Replace(value, who.Of(value.Class))
		if err != nil && k.withdraw(svc, value, err) {
			continue
		}
		if err != nil {
			return w.rejectUnlessReserved(ctx, svc, FieldError(svc, value, err))
		}
		k.substitute(svc, value, other)
	}
	return nil
}

// reject records that the Service can't have a value that the client named, and returns
// the error for it.
func (w *write) reject(svc *v1.Service, value allocation.Value, cause *field.Error) error {
	w.picks.RecordFailure(value)
	return w.invalid(svc, cause)
}

// rejectUnlessReserved returns the error for a Service that no value is left for, or a
// *retryError if there are reservations for the Service that admission did not know.
func (w *write) rejectUnlessReserved(ctx context.Context, svc *v1.Service, cause *field.Error) error {
	missed, err := w.ledger.missedListed(ctx, svc, w.picks)
	switch {
	case err != nil:
		return err
	case missed:
		return &retryError{reserved: true}
	}
	return w.invalid(svc, cause)
}

// invalid returns the error for a Service that can't have a value: a 422 with the field
// and the text of upstream's allocators. The error does not show picked values, which
// the client did not write.
func (w *write) invalid(svc *v1.Service, cause *field.Error) error {
	if shown, ok := cause.BadValue.([]string); ok {
		shown = slices.Clone(shown)
		for i, text := range shown {
			addr, err := netip.ParseAddr(text)
			if err == nil && w.picks.Picked(allocation.Address(addr)) {
				shown[i] = ""
			}
		}
		cause.BadValue = shown
	}
	return apierrors.NewInvalid(w.groupKind, svc.Name, field.ErrorList{cause})
}
