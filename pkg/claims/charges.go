package claims

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"go.etcd.io/etcd/client/v3/kubernetes"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
func (p *planner) planCharges(ctx context.Context) error {
	before, after := p.before, p.after
	if p.stored != nil && v1.IsMirrored(p.stored) {
		before = nil
	}
	if v1.IsMirrored(p.owner) {
		after = nil
	}
	counts := func(value allocation.Value) bool { return !p.heldByNeighbor(value) }
	changed := diff(before, after)
	charge, release := filter(changed.take, counts), filter(changed.release, counts)
	if len(charge)+len(release) == 0 {
		return nil
	}
	p.limits = p.ledger.limits.of(p.owner.Namespace, p.ledger.Index)
	p.plan.Guards = append(p.plan.Guards, txn.Guard{Key: p.limits.key, Revision: p.limits.revision})
	for _, t := range p.limits.all {
		mayCover := func(value allocation.Value) bool { return t.mayCover(value.Class) }
		charge, release := filter(charge, mayCover), filter(release, mayCover)
		if t.ranged && len(charge)+len(release) > 0 {
			p.guardLimitedRange(t)
		}
		if err := p.planLimit(ctx, t, filter(charge, t.covers), release); err != nil {
			return err
		}
	}
	return nil
}

// guardLimitedRange guards the range of a limit, on which it depends what the limit counts. A
// value may rely on the range already, at another revision. Then the transaction fails.
func (p *planner) guardLimitedRange(t *limit) {
	class := t.classes[0]
	key := p.ledger.stored[class].ranges.Key(t.rangeName)
	p.ranges[key] = rangeGuard{class, t.rangeName}
	p.plan.Guards = append(p.plan.Guards, txn.Guard{Key: key, Revision: t.rangeRevision})
}

// heldByNeighbor reports whether another Service of the namespace holds a value. Then it is
// neither charged when this one joins nor released when this one leaves.
func (p *planner) heldByNeighbor(value allocation.Value) bool {
	claim, planned := p.shared[value]
	if !planned {
		claim, _ = p.ledger.Index.Lookup(value)
	}
	if claim.Shared == nil {
		return false
	}
	for _, holder := range claim.Shared.Holders {
		if holder.Namespace == p.owner.Namespace && holder.UID != p.owner.UID && holder.UID != p.holder() {
			return true
		}
	}
	return false
}

// planLimit plans the charges under one limit.
func (p *planner) planLimit(ctx context.Context, t *limit, charge, release []allocation.Value) error {
	charge = slices.DeleteFunc(charge, func(value allocation.Value) bool {
		revision, permitted := p.charges.known[t.valueKey(value)]
		if permitted {
			p.plan.Guards = append(p.plan.Guards, txn.Guard{Key: t.valueKey(value), Revision: revision})
		}
		return permitted
	})
	numbers, err := p.planFreed(ctx, t, release, len(charge))
	if err != nil {
		return err
	}
	picked, err := p.pickPermits(ctx, t, len(charge)-len(numbers))
	if err != nil {
		return err
	}
	for _, n := range picked {
		p.plan.Guards = append(p.plan.Guards, txn.Guard{Key: t.permitKey(n)})
		p.permits[t.permitKey(n)] = t
	}
	for i, n := range append(numbers, picked...) {
		value := charge[i]
		p.plan.Guards = append(p.plan.Guards, txn.Guard{Key: t.valueKey(value)})
		p.permitted[t.valueKey(value)] = true
		p.plan.Puts = append(p.plan.Puts,
			txn.Put{Key: t.permitKey(n), Value: []byte(claimName(value))},
			txn.Put{Key: t.valueKey(value), Value: []byte(n.String())})
	}
	return nil
}

// planFreed plans the release of values' permits, and returns up to a wanted number of
// permits that other values can have in their place, with what guards them in the plan. A
// value that has a permit keeps it until it is released, even if it lies in the range of the
// limit no more.
func (p *planner) planFreed(ctx context.Context, t *limit, release []allocation.Value, wanted int) ([]permits.Number, error) {
	var inPlace []permits.Number
	for _, value := range release {
		key := t.valueKey(value)
		found, err := p.ledger.client.Get(ctx, key, kubernetes.GetOptions{})
		if err != nil {
			return nil, err
		}
		p.plan.Guards = append(p.plan.Guards, txn.Guard{Key: key, Revision: txn.ModRevision(found.KV)})
		var n permits.Number
		if found.KV != nil {
			if n, err = parsePermit(string(found.KV.Value)); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			p.plan.Deletes = append(p.plan.Deletes, key)
		}
		switch {
		case len(inPlace) < wanted && found.KV != nil:
			inPlace = append(inPlace, n)
		case len(inPlace) < wanted && t.covers(value):
			n = t.permits.InPlace()
			p.plan.Guards = append(p.plan.Guards, txn.Guard{Key: t.permitKey(n)})
			inPlace = append(inPlace, n)
		case found.KV != nil:
			p.plan.Deletes = append(p.plan.Deletes, t.permitKey(n))
			p.freed = append(p.freed, freedPermit{t, n})
		}
	}
	return inPlace, nil
}

// pickPermits picks free permits. The error is an *exceededError if the limit, as etcd has it
// now, has too few, and a *retryError if the limit has changed.
func (p *planner) pickPermits(ctx context.Context, t *limit, wanted int) ([]permits.Number, error) {
	if wanted <= 0 {
		return nil, nil
	}
	picked, used, err := p.ledger.awaitPermits(ctx, p.owner.Namespace, t, wanted)
	switch {
	case err != nil:
		return nil, err
	case picked != nil:
		p.charges.picked[t] = picked
		return picked, nil
	}
	if err := p.ledger.refreshLimits(ctx, p.owner.Namespace); err != nil {
		return nil, err
	}
	if err := p.ledger.refreshRange(ctx, t); err != nil {
		return nil, err
	}
	if !p.ledger.limits.has(p.owner.Namespace, p.ledger.Index, t) {
		return nil, &retryError{}
	}
	return nil, &exceededError{limit: t, requested: int64(wanted), used: used}
}

// awaitPermits picks free permits of a limit. If other requests of this replica have picked
// the last ones and not claimed them yet, it waits for the outcome. If none is left, it asks
// etcd. If etcd has none either, it returns nil and the number that is used.
func (l *Ledger) awaitPermits(ctx context.Context, namespace string, t *limit, wanted int) ([]permits.Number, int64, error) {
	var used int64
	for loaded := false; ; {
		picked, pending := t.permits.Pick(wanted)
		switch {
		case picked != nil:
			return picked, 0, nil
		case pending != nil:
			select {
			case <-pending:
				loaded = false
			case <-ctx.Done():
				return nil, 0, context.Cause(ctx)
			}
		case loaded:
			return nil, used, nil
		default:
			var err error
			if used, err = l.refresh(ctx, namespace, t, wanted); err != nil {
				return nil, 0, err
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

// withhold keeps load-balancer addresses that a quota does not allow from a stored Service that
// waits for them: it goes on waiting. It reports false for other Services, whose write the quota
// rejects.
func (w *write) withhold(c *change, exceeded *exceededError) bool {
	if !exceeded.mayCover(allocation.LoadBalancerIPv4) {
		return false
	}
	held := service.LoadBalancerAddresses(c.owner)
	others := slices.DeleteFunc(slices.Clone(held), func(addr netip.Addr) bool {
		value := allocation.LoadBalancerAddress(addr)
		_, has := c.before[value]
		return !has && w.picks.Picked(value)
	})
	switch status := &c.owner.Status; {
	case c.stored != nil && waits(c.stored):
		service.WaitForLoadBalancer(status, v1.ReasonQuotaExceeded, exceeded.Error(), metav1.Now())
		// It may have addresses that another controller has given it.
		status.LoadBalancer = c.stored.Status.LoadBalancer
	case len(others) > 0 && len(others) < len(held):
		service.SetLoadBalancerAddresses(status, others, exceeded.Error(), metav1.Now())
	default:
		return false
	}
	c.after = holdingsOf(c.owner)
	return true
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
