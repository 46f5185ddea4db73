package claims

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// write is one storage call, over all its attempts.
type write struct {
	ledger *Ledger
	// groupKind is the kind of a Service in the API group of the request.
	groupKind schema.GroupKind
	picks     *requeststate.Picks
	plan      *txn.Plan
	// last is the attempt that was planned last.
	last *attempt
	// created is change.created of the next attempt.
	created map[string]int64

	observer Observer
	began    time.Time
	attempts int
	// done tells the picks that the write has ended.
	done func()
}

// end must be called with the error that the storage call returns.
func (w *write) end(err error) {
	w.done()
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
}

func (e *retryError) Error() string { return "what the write relies on has changed" }

// prepare plans the next attempt. It returns a *retryError if picks of this one lie in no
// usable range anymore.
func (w *write) prepare(ctx context.Context, c change) error {
	w.attempts++
	c.created, c.force = w.created, w.attempts > maxAttempts/2
	attempt, err := w.ledger.plan(ctx, w.plan, c)
	outside, ok := errors.AsType[*outOfRangeError](err)
	switch {
	case ok && w.picks.Picked(outside.value):
		return w.retryOutside(ctx, c)
	case ok:
		return w.reject(c.owner, outside.value, w.ledger.outOfRange(c.owner, outside))
	case err != nil:
		return err
	}
	w.last = attempt
	return nil
}

// retryOutside returns a *retryError with the picks of an attempt that lie in no usable
// range anymore, or in none that serves the Service.
func (w *write) retryOutside(ctx context.Context, c change) error {
	who, err := w.ledger.Requester(ctx, c.owner)
	if err != nil {
		return err
	}
	outside := slices.DeleteFunc(diff(c.before, c.after).take, func(value allocation.Value) bool {
		_, _, err := w.ledger.Index.Covering(value, who.Of(value.Class))
		return err == nil || !w.picks.Picked(value)
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
		w.allocated(w.picks.Claimed(w.last.take), revision)
		return err
	case txn.Unknown:
		w.picks.RecordUnanswered()
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
	w.created = w.ledger.creations(w.last, conflict)
	if value, unavailable := w.ledger.checkAdopted(ctx, w.last); unavailable != nil {
		return w.reject(w.last.owner, value, unavailable)
	}
	who, err := w.ledger.Requester(ctx, w.last.owner)
	if err != nil {
		return err
	}
	var lost []allocation.Value
	for _, value := range w.last.take {
		switch unavailable := w.ledger.check(ctx, who, value); {
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

// reject records that the Service can't have a value that the client named, and returns
// the error for it.
func (w *write) reject(svc *v1.Service, value allocation.Value, cause *field.Error) error {
	w.picks.RecordFailure(value)
	return w.refusal(svc, cause)
}

// pickAgain picks other values in place of the lost ones, and puts them into the Service.
func (w *write) pickAgain(ctx context.Context, svc *v1.Service, lost []allocation.Value) error {
	who, err := w.ledger.Requester(ctx, svc)
	if err != nil {
		return err
	}
	for _, value := range lost {
		other, err := w.picks.Replace(value, who.Of(value.Class))
		if err != nil {
			return w.refusal(svc, FieldError(svc, value, err))
		}
		kindOf(value.Class).substitute(svc, value, other)
	}
	return nil
}

// refusal returns the error for a Service that can't have a value: a 422 with the field
// and the text of upstream's allocators. The error does not show picked values, which
// the client did not write.
func (w *write) refusal(svc *v1.Service, cause *field.Error) error {
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

// allocated reports the claims that a write committed. picked is true for values that
// had been picked.
func (w *write) allocated(picked map[allocation.Value]bool, revision int64) {
	took := time.Since(w.began)
	for _, value := range w.last.take {
		a := Allocation{Value: value, Scope: requeststate.Static, Revision: revision, Took: took}
		if picked[value] {
			a.Scope = requeststate.Dynamic
		}
		if w.ledger.stored[value.Class].observesBlocks() {
			a.Block = w.ledger.Index.BlockOf(value)
		}
		w.observer.Allocated(a)
	}
}

// interpret names the Service in the error of a transaction that is too large.
func interpret(err error, last *attempt) error {
	var large *txn.TooLargeError
	if errors.As(err, &large) && large.Operations > 0 && last != nil {
		return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("service %q claims %d addresses and ports: %v",
			last.owner.Name, len(last.take)+len(last.release)+len(last.rewrite), large))
	}
	return err
}

// errContended asks the client to retry: another write came first in each attempt.
func errContended(svc *v1.Service) error {
	return apierrors.NewTooManyRequests(fmt.Sprintf(
		"what service %q claims was changed by others in each of %d attempts; try again", svc.Name, maxAttempts), 1)
}
