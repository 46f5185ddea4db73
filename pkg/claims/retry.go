package claims

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/portolan-dev/portolan/pkg/txn"
)

// retry repeats the call of a store with a plan while its transaction is rejected because
// others have changed what the plan relies on. The writes of Services have a loop of their
// own, as they pick other values in between.
type retry struct {
	plan     *txn.Plan
	attempts int
	// learn receives what a rejected transaction has found. It may be nil.
	learn func(context.Context, *txn.ConflictError) error
	// busy is the text of the error after the last attempt, whose status is 429.
	busy string
}

func (r retry) do(ctx context.Context, call func(context.Context) error) error {
	ctx = txn.WithPlan(ctx, r.plan)
	for range r.attempts {
		err := call(ctx)
		conflict, rejected := errors.AsType[*txn.ConflictError](err)
		if !rejected {
			return err
		}
		if r.learn == nil {
			continue
		}
		if err := r.learn(ctx, conflict); err != nil {
			return err
		}
	}
	return apierrors.NewTooManyRequests(r.busy, 1)
}
