package claims

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// change is the change of a Service that one attempt at a write makes.
type change struct {
	// owner is the Service as it is written, or as it is deleted. stored is the Service
	// before it, nil on create. It has another UID if the write replaces the Service by
	// another of its name.
	owner, stored *v1.Service
	// before and after are what stored and owner hold. A deleted Service holds nothing after.
	before, after holdings
	// retain is not nil if the Service is deleted and what it holds stays reserved for it.
	retain *retention
	// picks are those of the request, charges those of the write.
	picks   *requeststate.Picks
	charges *charges
	findings
}

// findings are what the attempts of a write before this one have found.
type findings struct {
	// created has the creation revisions of the Service's claims, by key, as far as a
	// rejected transaction has returned them. They guard the claims that the Service
	// releases: other writers may go on changing a claim, which is no reason to keep it. A
	// value that several Services can hold is not among them, as another may have joined.
	created map[string]int64
	// relist makes the plan read the listing of the Service.
	relist bool
	// force allows the transaction to overwrite concurrent changes of claims that the
	// Service rewrites. They have kept the write from succeeding for long enough.
	force bool
}

// holder is the UID of the Service that holds the values of before.
func (c *change) holder() types.UID {
	if c.stored != nil {
		return c.stored.UID
	}
	return c.owner.UID
}

// attempt is one attempt at a write: its change, and the meaning of the keys in its plan.
type attempt struct {
	change
	difference
	// unclaimed are the values that the Service keeps, had no claim on, and claims now.
	unclaimed []allocation.Value
	// strict is true if the write is rejected when another object holds one of them.
	strict bool
	values map[string]allocation.Value
	ranges map[string]rangeGuard
	// shared has the claims that the attempt writes of values that several Services can
	// hold. Their revision is that of the transaction.
	shared map[allocation.Value]allocation.Claim
	// taken has the values of take and unclaimed that were reserved, under the Service that
	// they were reserved for. It is another Service only if the reservation has expired.
	taken map[types.NamespacedName][]allocation.Value
	// listing is the key of the Service's listing, if the plan relies on it.
	listing string
	// retained are the values that stay reserved for the Service when it is deleted, and
	// reserved are the reservations that the plan makes of them.
	retained []allocation.Value
	reserved map[allocation.Value]allocation.Claim
	// limits are those that the plan relies on, nil if it changes nothing that counts.
	limits *limits
	// permits and permitted have the keys of the permits and values that the plan adds, and
	// freed are the permits that it releases.
	permits   map[string]*limit
	permitted map[string]bool
	freed     []freedPermit
}

type rangeGuard struct {
	class allocation.Class
	name  string
}

// planner turns the change of one attempt into the plan of its transaction. Every key in the
// plan is guarded by the state that the index has. An outdated guard costs another attempt
// and never makes a wrong write.
type planner struct {
	*attempt
	plan   *txn.Plan
	ledger *Ledger
}

// plan fills in the plan of an attempt.
func (l *Ledger) plan(ctx context.Context, plan *txn.Plan, c change) (*attempt, error) {
	plan.Reset()
	p := &planner{ledger: l, plan: plan, attempt: &attempt{
		change: c, difference: diff(c.before, c.after),
		values: map[string]allocation.Value{}, ranges: map[string]rangeGuard{},
		permits: map[string]*limit{}, permitted: map[string]bool{},
	}}
	sortAsWritten(c.owner, p.take)
	if c.retain != nil {
		p.retainReleased()
	}
	if c.holder() != c.owner.UID {
		p.rewrite = kept(c.before, c.after)
	}
	return p.attempt, p.run(ctx)
}

// run takes the steps in an order in which each finds what it needs in the attempt: charges
// depend on the claims, and listings on the reservations that are taken and made.
func (p *planner) run(ctx context.Context) error {
	for _, step := range [...]func(*planner, context.Context) error{
		(*planner).findUnclaimed, (*planner).planReleases, (*planner).guardRanges, (*planner).planClaims,
		(*planner).planRewrites, (*planner).planReservations, (*planner).planListings, (*planner).planCharges,
	} {
		if err := step(p, ctx); err != nil {
			return err
		}
	}
	return nil
}

// planReleases deletes the claims on values that the Service gives up, or takes the Service
// out of their holders. If the Service retains what it holds, only values that several
// Services can hold are released: see retainReleased.
func (p *planner) planReleases(ctx context.Context) error {
	for _, value := range p.release {
		claim, known := p.ledger.Index.Lookup(value)
		if claim.HeldByOthers(p.holder()) || p.retain != nil {
			if err := p.planShare(ctx, value); err != nil {
				return err
			}
			continue
		}
		key := p.ledger.claimKey(value)
		p.guardClaim(value, txn.Guard{Key: key, Revision: claim.Revision, Creation: p.created[key]})
		if known && claim.HeldBy(p.holder()) {
			p.plan.Deletes = append(p.plan.Deletes, key)
		}
	}
	return nil
}

// planClaims claims the values that are new to the Service, and those that it keeps without
// a claim.
func (p *planner) planClaims(ctx context.Context) error {
	for _, value := range p.take {
		if err := p.checkUsers(ctx, value); err != nil {
			return err
		}
		if err := p.planClaim(ctx, value); err != nil {
			return err
		}
	}
	for _, value := range p.unclaimed {
		if err := p.planClaim(ctx, value); err != nil {
			return err
		}
	}
	return nil
}

// planClaim claims a value for the Service. Where the index has a claim on a value that
// several Services can hold, the Service joins it. It takes over a reservation for it.
func (p *planner) planClaim(ctx context.Context, value allocation.Value) error {
	held := p.after[value]
	known, exists := p.ledger.Index.Lookup(value)
	switch {
	case exists && held.share != nil:
		return p.planShare(ctx, value)
	case exists && p.ledger.mayTake(p.owner, known):
		return p.takeOver(ctx, value)
	}
	return p.claimFree(ctx, value)
}

// claimFree claims a value on which there is no claim.
func (p *planner) claimFree(ctx context.Context, value allocation.Value) error {
	p.guardClaim(value, txn.Guard{Key: p.ledger.claimKey(value)})
	return p.putNewClaim(ctx, value)
}

// guardClaim adds a guard on the claim of a value.
func (p *planner) guardClaim(value allocation.Value, guard txn.Guard) {
	p.values[guard.Key] = value
	p.plan.Guards = append(p.plan.Guards, guard)
}

// putNewClaim puts a claim that the Service holds alone.
func (p *planner) putNewClaim(ctx context.Context, value allocation.Value) error {
	return p.putClaim(ctx, value, p.ledger.stored[value.Class].heldClaim(value.String(), p.after[value], p.owner))
}

// putClaim puts a claim, and adds it to the shared claims of the attempt if several Services
// can hold it.
func (p *planner) putClaim(ctx context.Context, value allocation.Value, obj runtime.Object) error {
	k := p.ledger.stored[value.Class]
	put, err := k.claims.Encode(ctx, value.String(), obj)
	if err != nil {
		return err
	}
	p.plan.Puts = append(p.plan.Puts, put)
	if claim, _ := k.claim(obj); claim.sharing != nil {
		if p.shared == nil {
			p.shared = map[allocation.Value]allocation.Claim{}
		}
		p.shared[value] = claim.at(0)
	}
	return nil
}

// guardRanges guards the ranges that new claims lie in, so that they serve the Service
// until the claims are written. A copy of a cluster's Service holds values of the cluster's
// ranges.
func (p *planner) guardRanges(ctx context.Context) error {
	if len(p.take) == 0 || v1.IsMirrored(p.owner) {
		return nil
	}
	who, err := p.ledger.Requester(ctx, p.owner)
	if err != nil {
		return err
	}
	for _, value := range p.take {
		covering, err := p.ledger.Index.Covering(value, who.Of(value.Class))
		if err != nil {
			return &outOfRangeError{value: value, cause: err}
		}
		key := p.ledger.stored[value.Class].ranges.Key(covering.Name)
		if _, guarded := p.ranges[key]; !guarded {
			p.ranges[key] = rangeGuard{value.Class, covering.Name}
			p.plan.Guards = append(p.plan.Guards, txn.Guard{Key: key, Revision: covering.Revision})
		}
	}
	return nil
}
