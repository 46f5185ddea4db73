package claims

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/etcd/client/v3/kubernetes"
	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/permits"
	"github.com/portolan-dev/portolan/pkg/service"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// charges are the permits that the attempts of one write have picked, and what its rejected
// transactions have found.
type charges struct {
	picked map[*limit][]permits.Number
	// known are the values that turned out to have a permit already, by the key that says so,
	// with its revision.
	known map[string]int64
}

func newCharges() *charges {
	return &charges{picked: map[*limit][]permits.Number{}, known: map[string]int64{}}
}

// drop returns what an attempt has picked.
func (c *charges) drop() {
	for t, numbers := range c.picked {
		t.permits.Return(numbers)
	}
	clear(c.picked)
}

// claimed records that the transaction has taken what was picked, or may have.
func (c *charges) claimed() {
	for t, numbers := range c.picked {
		t.permits.Claimed(numbers)
	}
	clear(c.picked)
}

// exceededError reports that a Service would claim more than a ClaimQuota allows. Its text is
// that of upstream's ResourceQuota. A limit that has changed meanwhile has been ruled out.
type exceededError struct {
	*limit
	requested, used int64
}

func (e *exceededError) Error() string {
	return fmt.Sprintf("exceeded quota: %s, requested: %[2]s=%[3]d, used: %[2]s=%[4]d, limited: %[2]s=%[5]d",
		e.quota, e.name, e.requested, e.used, e.max)
}

// freedPermit is a permit that a transaction releases.
type freedPermit struct {
	*limit
	number permits.Number
}

// planCharges makes the new claims of a write take permits, under each limit that counts them,
// and the released ones give theirs back. A value that replaces another one takes over its
// permit, so that a Service can always exchange what it holds. It must be called after the
// claims themselves are planned. The error is an *exceededError if a limit is reached.
func (l *Ledger) planCharges(ctx context.Context, plan *txn.Plan, a *attempt, c change) error {
	before, after := c.before, c.after
	if c.copied {
		before = nil
	}
	if v1.IsMirrored(c.owner) {
		after = nil
	}
	counts := func(value allocation.Value) bool { return !l.holdsToo(a, c, value) }
	changed := diff(before, after)
	charge, release := filter(changed.take, counts), filter(changed.release, counts)
	if len(charge)+len(release) == 0 {
		return nil
	}
	known := l.limits.of(c.owner.Namespace, l.Index)
	a.limits = known
	plan.Guards = append(plan.Guards, txn.Guard{Key: known.key, Revision: known.revision})
	for _, t := range known.all {
		mayCover := func(value allocation.Value) bool { return t.mayCover(value.Class) }
		charge, release := filter(charge, mayCover), filter(release, mayCover)
		if t.ranged && len(charge)+len(release) > 0 {
			l.guardLimitedRange(plan, a, t)
		}
		if err := l.planLimit(ctx, plan, a, c, t, filter(charge, t.covers), release); err != nil {
			return err
		}
	}
	return nil
}

// guardLimitedRange guards the range of a limit, on which it depends what the limit counts. A
// value may rely on the range already, at another revision. Then the transaction fails.
func (l *Ledger) guardLimitedRange(plan *txn.Plan, a *attempt, t *limit) {
	class := t.classes[0]
	key := l.stored[class].ranges.Key(t.rangeName)
	a.ranges[key] = rangeGuard{class, t.rangeName}
	plan.Guards = append(plan.Guards, txn.Guard{Key: key, Revision: t.rangeRevision})
}

// holdsToo reports whether another Service of the namespace holds a value. Then it is neither
// charged when this one joins nor released when this one leaves.
func (l *Ledger) holdsToo(a *attempt, c change, value allocation.Value) bool {
	claim, planned := a.shared[value]
	if !planned {
		claim, _ = l.Index.Lookup(value)
	}
	if claim.Shared == nil {
		return false
	}
	for _, holder := range claim.Shared.Holders {
		if holder.Namespace == c.owner.Namespace && holder.UID != c.owner.UID && holder.UID != c.holder {
			return true
		}
	}
	return false
}

// planLimit plans the charges under one limit.
func (l *Ledger) planLimit(ctx context.Context, plan *txn.Plan, a *attempt, c change, t *limit, charge, release []allocation.Value) error {
	charge = slices.DeleteFunc(charge, func(value allocation.Value) bool {
		revision, permitted := c.charges.known[t.valueKey(value)]
		if permitted {
			plan.Guards = append(plan.Guards, txn.Guard{Key: t.valueKey(value), Revision: revision})
		}
		return permitted
	})
	numbers, err := l.planFreed(ctx, plan, a, t, release, len(charge))
	if err != nil {
		return err
	}
	picked, err := l.pickPermits(ctx, c, t, len(charge)-len(numbers))
	if exceeded, ok := errors.AsType[*exceededError](err); ok {
		if err := l.refreshLimits(ctx, c.owner.Namespace); err != nil {
			return err
		}
		if err := l.refreshRange(ctx, exceeded.limit); err != nil {
			return err
		}
		if !l.limits.has(c.owner.Namespace, l.Index, exceeded.limit) {
			return &retryError{}
		}
	}
	if err != nil {
		return err
	}
	for _, n := range picked {
		plan.Guards = append(plan.Guards, txn.Guard{Key: t.permitKey(n)})
		a.permits[t.permitKey(n)] = t
	}
	for i, n := range append(numbers, picked...) {
		value := charge[i]
		plan.Guards = append(plan.Guards, txn.Guard{Key: t.valueKey(value)})
		a.permitted[t.valueKey(value)] = true
		plan.Puts = append(plan.Puts,
			txn.Put{Key: t.permitKey(n), Value: []byte(claimName(value))},
			txn.Put{Key: t.valueKey(value), Value: []byte(n.String())})
	}
	return nil
}

// planFreed plans the release of values' permits, and returns up to a wanted number of
// permits that other values can have in their place, with what guards them in the plan. A
// value that has a permit keeps it until it is released, even if it lies in the range of the
// limit no more.
func (l *Ledger) planFreed(ctx context.Context, plan *txn.Plan, a *attempt, t *limit, release []allocation.Value,
	wanted int) ([]permits.Number, error) {
	var inPlace []permits.Number
	for _, value := range release {
		key := t.valueKey(value)
		found, err := l.client.Get(ctx, key, kubernetes.GetOptions{})
		if err != nil {
			return nil, err
		}
		guard := txn.Guard{Key: key}
		var n permits.Number
		if found.KV != nil {
			guard.Revision = found.KV.ModRevision
			if n, err = parsePermit(string(found.KV.Value)); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			plan.Deletes = append(plan.Deletes, key)
		}
		plan.Guards = append(plan.Guards, guard)
		switch {
		case len(inPlace) < wanted && found.KV != nil:
			inPlace = append(inPlace, n)
		case len(inPlace) < wanted && t.covers(value):
			n = t.permits.InPlace()
			plan.Guards = append(plan.Guards, txn.Guard{Key: t.permitKey(n)})
			inPlace = append(inPlace, n)
		case found.KV != nil:
			plan.Deletes = append(plan.Deletes, t.permitKey(n))
			a.freed = append(a.freed, freedPermit{t, n})
		}
	}
	return inPlace, nil
}

// pickPermits picks free permits. If other requests of this replica have picked the last ones
// and not claimed them yet, it waits for the outcome. If none is left, it asks etcd.
func (l *Ledger) pickPermits(ctx context.Context, c change, t *limit, wanted int) ([]permits.Number, error) {
	if wanted <= 0 {
		return nil, nil
	}
	var used int64
	for loaded := false; ; {
		picked, pending := t.permits.Pick(wanted)
		switch {
		case picked != nil:
			c.charges.picked[t] = picked
			return picked, nil
		case pending != nil:
			select {
			case <-pending:
				loaded = false
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		case loaded:
			return nil, &exceededError{limit: t, requested: int64(wanted), used: used}
		default:
			var err error
			if used, err = l.refresh(ctx, c.owner.Namespace, t, wanted); err != nil {
				return nil, err
			}
			loaded = true
		}
	}
}

// refresh loads the state of a limit's permits and returns what is used. If every permit is
// one that can be taken, a count shows whether there are too few, and nothing is loaded then.
func (l *Ledger) refresh(ctx context.Context, namespace string, t *limit, wanted int) (used int64, err error) {
	if t.permits.Whole() {
		used, err = l.client.Count(ctx, t.prefix+permitsFolder, kubernetes.CountOptions{})
		if err != nil || used+int64(wanted) > t.max {
			return used, err
		}
	}
	return l.load(ctx, namespace, t)
}

// refreshLimits reads the limits of a namespace.
func (l *Ledger) refreshLimits(ctx context.Context, namespace string) error {
	found, err := l.client.Get(ctx, l.limits.key(namespace), kubernetes.GetOptions{})
	if err != nil {
		return err
	}
	return l.limits.learn(namespace, found.KV, found.Revision)
}

// refreshRange reads the range of a limit, if it has one.
func (l *Ledger) refreshRange(ctx context.Context, t *limit) error {
	if !t.ranged || len(t.classes) == 0 {
		return nil
	}
	k := l.stored[t.classes[0]]
	found, err := l.client.Get(ctx, k.ranges.Key(t.rangeName), kubernetes.GetOptions{})
	if err != nil {
		return err
	}
	return l.learnRange(ctx, k, t.rangeName, found.KV, found.Revision)
}

// learnPermits learns what a rejected transaction found of limits and permits.
func (l *Ledger) learnPermits(a *attempt, known *charges, conflict *txn.ConflictError) error {
	if a.limits == nil {
		return nil
	}
	for key, kv := range conflict.Found {
		_, permitted := known.known[key]
		switch t := a.permits[key]; {
		case key == a.limits.key && txn.ModRevision(kv) != a.limits.revision:
			if err := l.limits.learn(a.owner.Namespace, kv, conflict.Revision); err != nil {
				return err
			}
		case t != nil && kv != nil:
			t.permits.Forget()
		case (permitted || a.permitted[key]) && kv != nil:
			known.known[key] = kv.ModRevision
		case permitted:
			delete(known.known, key)
		}
	}
	return nil
}

// waits reports whether a stored Service waits for a load-balancer address.
func waits(svc *v1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeLoadBalancer && len(service.LoadBalancerAddresses(svc)) == 0
}

// filter returns the values of a slice that are kept.
func filter(values []allocation.Value, keep func(allocation.Value) bool) []allocation.Value {
	var kept []allocation.Value
	for _, value := range values {
		if keep(value) {
			kept = append(kept, value)
		}
	}
	return kept
}
