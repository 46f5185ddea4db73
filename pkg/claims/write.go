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
	netutils "k8s.io/utils/net"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// write is one storage call on its way through its attempts.
type write struct {
	ledger *Ledger
	// kind is what the request calls a Service.
	kind  schema.GroupKind
	picks *Picks
	plan  *txn.Plan
	// last is the attempt whose transaction was sent last.
	last *attempt
	// created is that of the next change.
	created map[string]int64

	observer Observer
	began    time.Time
	attempts int
	// done is for the picks to know that the write is over.
	done func()
}

// end must be called with what the storage call returns.
func (w *write) end(err error) {
	w.done()
	if w.attempts > 0 {
		w.observer.Wrote(w.attempts)
	}
	if !apierrors.IsInvalid(err) {
		w.picks.noFailure()
	}
}

// errRangeGone says that picks of the attempt lie in no usable range any more.
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
			w.picks.Fail(outside.value)
			return w.refusal(owner, w.ledger.outOfRange(owner, outside.value))
		}
		return err
	}
	w.last = attempt
	return nil
}

// outside are the picks for which prepare said errRangeGone.
func (w *write) outside(before, after holdings) []allocation.Value {
	outside := slices.DeleteFunc(differ(before, after).take, func(value allocation.Value) bool {
		_, _, covered := w.ledger.Index.Covering(value)
		return covered || !w.picks.Picked(value)
	})
	for _, value := range outside {
		w.observer.Lost(value.Class)
	}
	return outside
}

// settle looks at how the store's call ended. again says that the call is to
// be made once more; the claims that were lost to others are among the takes
// of the last attempt.
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
		w.picks.Fail(value)
		return nil, false, w.refusal(w.last.owner, unavailable)
	}
	for _, value := range w.last.take {
		unavailable := w.ledger.check(ctx, w.last.owner, value)
		if unavailable == nil {
			continue
		}
		if !w.picks.Picked(value) {
			w.picks.Fail(value)
			return nil, false, w.refusal(w.last.owner, unavailable)
		}
		lost = append(lost, value)
		w.observer.Lost(value.Class)
	}
	return lost, true, nil
}

// refusal is the answer to a Service that asks for a value it can't have: a 422
// with the field and the text of upstream's allocators. What was picked for the
// client, who never wrote it, is left out of what the error shows.
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
	return apierrors.NewInvalid(w.kind, svc.Name, field.ErrorList{cause})
}

// allocated tells of what a write of this replica committed. picked says of each
// value that was taken whether it had been picked.
func (w *write) allocated(picked map[allocation.Value]bool, revision int64) {
	took := time.Since(w.began)
	for _, value := range w.last.take {
		a := Allocation{Value: value, Scope: Static, Revision: revision, Took: took}
		if picked[value] {
			a.Scope = Dynamic
		}
		if value.Class != allocation.Port {
			a.Block = w.ledger.Index.BlockOf(value)
		}
		w.observer.Allocated(a)
	}
}

// interpret words what else a write can fail for.
func interpret(err error, last *attempt) error {
	var large *txn.TooLargeError
	if errors.As(err, &large) && large.Operations > 0 && last != nil {
		return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("service %q claims %d addresses and ports: %v",
			last.owner.Name, len(last.take)+len(last.release)+len(last.rewrite), large))
	}
	return err
}

// errContended asks the client to come back: others were quicker each time.
func errContended(svc *v1.Service) error {
	return apierrors.NewTooManyRequests(fmt.Sprintf(
		"what service %q claims was changed by others in each of %d attempts; try again", svc.Name, maxAttempts), 1)
}

// substitute puts one value into a Service's spec in the place of another.
func substitute(svc *v1.Service, old, replacement allocation.Value) {
	spec := &svc.Spec
	if old.Class == allocation.Port {
		for i := range spec.Ports {
			if spec.Ports[i].NodePort == old.Number.Port() {
				spec.Ports[i].NodePort = replacement.Number.Port()
			}
		}
		if spec.HealthCheckNodePort == old.Number.Port() {
			spec.HealthCheckNodePort = replacement.Number.Port()
		}
		return
	}
	for i, text := range spec.ClusterIPs {
		addr, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(text))
		if ok && allocation.Address(addr) == old {
			spec.ClusterIPs[i] = replacement.String()
		}
	}
	if len(spec.ClusterIPs) > 0 {
		spec.ClusterIP = spec.ClusterIPs[0]
	}
}
