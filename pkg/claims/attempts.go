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
	"github.com/portolan-dev/portolan/pkg/txn"
)

// write is one storage call, over all its attempts.
type write struct {
	ledger *Ledger
	// groupKind is the kind of a Service in the API group of the request.
	groupKind schema.GroupKind
	picks     *Picks
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
		w.picks.clearFailures()
	}
}

// errRangeGone reports that picks of the attempt no longer lie in a usable range.
var errRangeGone = errors.New("a value was picked from a range that is gone")

// prepare plans the next attempt.
func (w *write) prepare(ctx context.Context, c change) error {
	w.attempts++
	c.created, c.force = w.created, w.attempts > maxAttempts/2
	owner := c.owner
	attempt, err := w.ledger.plan(ctx, w.plan, c)
	if err != nil {
		if outside, ok := errors.AsType[*outOfRangeError](err); ok {
			if w.picks.Picked(outside.value) {
				return errRangeGone
			}
			w.picks.RecordFailure(outside.value)
			return w.refusal(owner, w.ledger.outOfRange(owner, outside.value))
		}
		return err
	}
	w.last = attempt
	return nil
}

// outside returns the picks that made prepare return errRangeGone.
func (w *write) outside(before, after holdings) []allocation.Value {
	outside := slices.DeleteFunc(diff(before, after).take, func(value allocation.Value) bool {
		_, _, covered := w.ledger.Index.Covering(value)
		return covered || !w.picks.Picked(value)
	})
	for _, value := range outside {
		w.observer.Lost(value.Class)
	}
	return outside
}

// settle takes the error of the store's call. If again is true, the call must be made
// again; lost are the picks of the last attempt that another write has claimed.
func (w *write) settle(ctx context.Context, err error) (lost []allocation.Value, again bool, _ error) {
	outcome, revision := w.plan.Outcome()
	switch outcome {
	case txn.Committed:
		w.ledger.committed(w.last, revision)
		w.allocated(w.picks.claimed(w.last.take), revision)
		return nil, false, err
	case txn.Unknown:
		w.picks.doubt()
		return nil, false, err
	case txn.Tried:
		return nil, false, err
	}
	var conflict *txn.ConflictError
	if !errors.As(err, &conflict) {
		return nil, false, interpret(err, w.last)
	}
	if err := w.ledger.learn(ctx, w.last, conflict); err != nil {
		return nil, false, err
	}
	w.created = w.ledger.creations(w.last, conflict)
	if value, unavailable := w.ledger.checkAdopted(ctx, w.last); unavailable != nil {
		w.picks.RecordFailure(value)
		return nil, false, w.refusal(w.last.owner, unavailable)
	}
	for _, value := range w.last.take {
		unavailable := w.ledger.check(ctx, w.last.owner, value)
		if unavailable == nil {
			continue
		}
		if !w.picks.Picked(value) {
			w.picks.RecordFailure(value)
			return nil, false, w.refusal(w.last.owner, unavailable)
		}
		lost = append(lost, value)
		w.observer.Lost(value.Class)
	}
	return lost, true, nil
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
		a := Allocation{Value: value, Scope: Static, Revision: revision, Took: took}
		if picked[value] {
			a.Scope = Dynamic
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
