package claims

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// attempt is one attempt at a write: what it changes, and what the keys in its
// plan stand for.
type attempt struct {
	difference
	owner  *v1.Service
	insist bool
	values map[string]allocation.Value
	ranges map[string]rangeGuard
}

type rangeGuard struct {
	class allocation.Class
	name  string
}

// change is what one attempt at a write makes of a Service.
type change struct {
	owner         *v1.Service
	before, after holdings
	// insist reports whether the write is rejected if another has what the Service
	// keeps. It is called only for an update that keeps an unclaimed value.
	insist func() bool
	// created are the revisions at which claims of the Service were created, by
	// key, as far as a refused transaction has told. What a Service releases is
	// guarded by that: others may go on writing to the claim, but that is no
	// reason to keep it.
	created map[string]int64
	// force says that what others write meanwhile to claims that the Service
	// rewrites may be lost: they have kept the write from succeeding for long
	// enough.
	force bool
}

// plan fills in the plan of a write. Every key it names is guarded by what the
// index knows of it; a guard that is out of date costs another attempt, never a
// wrong write.
func (l *Ledger) plan(ctx context.Context, plan *txn.Plan, c change) (*attempt, error) {
	plan.Reset()
	a := &attempt{
		difference: differ(c.before, c.after), owner: c.owner,
		values: map[string]allocation.Value{}, ranges: map[string]rangeGuard{},
	}
	if err := l.findUnclaimed(ctx, a, c); err != nil {
		return nil, err
	}
	sortAsWritten(c.owner, a.take)
	for _, value := range a.release {
		key := l.claims(value.Class).Key(value.String())
		claim, known := l.Index.Lookup(value)
		a.guard(plan, key, value, claim.Revision).Creation = c.created[key]
		if known && claim.UID == string(c.owner.UID) {
			plan.Deletes = append(plan.Deletes, key)
		}
	}
	for _, value := range a.take {
		if err := l.guardRange(plan, a, value); err != nil {
			return nil, err
		}
	}
	for _, value := range slices.Concat(a.take, a.adopt) {
		put, err := l.newClaim(ctx, c.owner, value, c.after[value])
		if err != nil {
			return nil, err
		}
		a.guard(plan, put.Key, value, 0)
		plan.Puts = append(plan.Puts, put)
	}
	return a, l.planRewrites(ctx, plan, a, c)
}

func (a *attempt) guard(plan *txn.Plan, key string, value allocation.Value, revision int64) *txn.Guard {
	a.values[key] = value
	plan.Guards = append(plan.Guards, txn.Guard{Key: key, Revision: revision})
	return &plan.Guards[len(plan.Guards)-1]
}

// guardRange makes the transaction rely on the range that a new claim lies in.
func (l *Ledger) guardRange(plan *txn.Plan, a *attempt, value allocation.Value) error {
	name, revision, ok := l.Index.Covering(value)
	if !ok {
		return &outOfRangeError{value: value}
	}
	key := l.ranges(value.Class).Key(name)
	if _, guarded := a.ranges[key]; !guarded {
		a.ranges[key] = rangeGuard{value.Class, name}
		plan.Guards = append(plan.Guards, txn.Guard{Key: key, Revision: revision})
	}
	return nil
}

func (l *Ledger) newClaim(ctx context.Context, owner *v1.Service, value allocation.Value, protocols []corev1.Protocol) (txn.Put, error) {
	name := value.String()
	if value.Class == allocation.Port {
		return l.ports.Encode(ctx, name, v1.NewHeldPort(name, protocols, owner))
	}
	return l.addresses.Encode(ctx, name, v1.NewHeldAddress(name, owner))
}
