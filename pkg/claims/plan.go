package claims

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// attempt is one attempt at a write: its changes, and the meaning of the keys in its
// plan.
type attempt struct {
	difference
	owner  *v1.Service
	holder types.UID
	strict bool
	values map[string]allocation.Value
	ranges map[string]rangeGuard
	// shared has the claims that the attempt writes of values that several Services can
	// hold. Their revision is that of the transaction.
	shared map[allocation.Value]allocation.Claim
	// taken has the values of take and adopt that were reserved, under the Service that they
	// were reserved for. It is another Service only if the reservation has expired.
	taken map[types.NamespacedName][]allocation.Value
	// listing is the key of the Service's listing, if the plan relies on it.
	listing string
	// retain are the values that stay reserved for the Service when it is deleted, and
	// reserved are the reservations that the plan makes of them.
	retain   []allocation.Value
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

// change is the change of a Service that one attempt at a write makes.
type change struct {
	owner         *v1.Service
	before, after holdings
	// holder is the UID of the Service that holds the values of before. It is the owner's,
	// unless the write replaces a Service by another of its name.
	holder types.UID
	// strict reports whether the write is rejected if another object holds a value that
	// the Service keeps. It is called only for an update that keeps an unclaimed value.
	strict func() bool
	// copied reports whether the values of before are those of a copy of a cluster's Service.
	copied bool
	// waits is true if the stored Service has no load-balancer address and waits for one. It
	// goes on waiting if a ClaimQuota does not let it have one.
	waits bool
	// picks are those of the request.
	picks *requeststate.Picks
	// charges are those of the write.
	charges *charges
	// relist makes the plan read the listing of the Service.
	relist bool
	// retain is not nil if the Service is deleted and what it holds stays reserved for it.
	retain *retention
	// created has the creation revisions of the Service's claims, by key, as far as a
	// rejected transaction has returned them. They guard the claims that the Service
	// releases: other writers may go on changing a claim, which is no reason to keep it. A
	// value that several Services can hold is not among them, as another may have joined.
	created map[string]int64
	// force allows the transaction to overwrite concurrent changes of claims that the
	// Service rewrites. They have kept the write from succeeding for long enough.
	force bool
}

// plan fills in the plan of a write. Every key in it is guarded by the state that the
// index has. An outdated guard costs another attempt and never makes a wrong write.
func (l *Ledger) plan(ctx context.Context, plan *txn.Plan, c change) (*attempt, error) {
	plan.Reset()
	a := &attempt{
		difference: diff(c.before, c.after), owner: c.owner, holder: c.holder,
		values: map[string]allocation.Value{}, ranges: map[string]rangeGuard{},
		permits: map[string]*limit{}, permitted: map[string]bool{},
	}
	if c.retain != nil {
		a.keepReleased(c.before)
		a.reserved = map[allocation.Value]allocation.Claim{}
	}
	if c.holder != c.owner.UID {
		a.rewrite = kept(c.before, c.after)
	}
	if err := l.findUnclaimed(ctx, a, c); err != nil {
		return nil, err
	}
	sortAsWritten(c.owner, a.take)
	if err := l.planReleases(ctx, plan, a, c); err != nil {
		return nil, err
	}
	// A copy of a cluster's Service holds values of the cluster's ranges.
	if !v1.IsMirrored(c.owner) {
		if err := l.guardRanges(ctx, plan, a); err != nil {
			return nil, err
		}
	}
	for _, value := range slices.Concat(a.take, a.adopt) {
		if err := l.planClaim(ctx, plan, a, c, value); err != nil {
			return nil, err
		}
	}
	if err := l.planRewrites(ctx, plan, a, c); err != nil {
		return nil, err
	}
	if err := l.planListings(ctx, plan, a, c); err != nil {
		return nil, err
	}
	return a, l.planCharges(ctx, plan, a, c)
}

// planReleases deletes the claims on values that the Service gives up, or takes the Service
// out of their holders. If the Service retains what it holds, only values that several
// Services can hold are released: see keepReleased.
func (l *Ledger) planReleases(ctx context.Context, plan *txn.Plan, a *attempt, c change) error {
	for _, value := range a.release {
		claim, known := l.Index.Lookup(value)
		if claim.HeldByOthers(c.holder) || c.retain != nil {
			if err := l.planShare(ctx, plan, a, c, value); err != nil {
				return err
			}
			continue
		}
		key := l.claimKey(value)
		a.guard(plan, key, value, claim.Revision).Creation = c.created[key]
		if known && claim.HeldBy(c.holder) {
			plan.Deletes = append(plan.Deletes, key)
		}
	}
	return nil
}

// planClaim claims a value for the Service. Where the index has a claim on a value that
// several Services can hold, the Service joins it. It takes over a reservation for it.
func (l *Ledger) planClaim(ctx context.Context, plan *txn.Plan, a *attempt, c change, value allocation.Value) error {
	held := c.after[value]
	known, exists := l.Index.Lookup(value)
	if exists && held.share != nil {
		return l.planShare(ctx, plan, a, c, value)
	}
	k, name := l.stored[value.Class], value.String()
	claim := k.heldClaim(name, held, c.owner)
	guard := a.guard(plan, k.claims.Key(name), value, 0)
	if exists && l.mayTake(c.owner, known) {
		taken, err := l.takeOver(ctx, guard, a, c, value)
		if err != nil {
			return err
		}
		if taken != nil {
			claim = taken
		}
	}
	return l.putClaim(ctx, plan, a, value, claim)
}

func (a *attempt) guard(plan *txn.Plan, key string, value allocation.Value, revision int64) *txn.Guard {
	a.values[key] = value
	plan.Guards = append(plan.Guards, txn.Guard{Key: key, Revision: revision})
	return &plan.Guards[len(plan.Guards)-1]
}

// guardRanges guards the ranges that new claims lie in, so that they serve the Service
// until the claims are written.
func (l *Ledger) guardRanges(ctx context.Context, plan *txn.Plan, a *attempt) error {
	if len(a.take) == 0 {
		return nil
	}
	who, err := l.Requester(ctx, a.owner)
	if err != nil {
		return err
	}
	for _, value := range a.take {
		covering, err := l.Index.Covering(value, who.Of(value.Class))
		if err != nil {
			return &outOfRangeError{value: value, cause: err}
		}
		key := l.stored[value.Class].ranges.Key(covering.Name)
		if _, guarded := a.ranges[key]; !guarded {
			a.ranges[key] = rangeGuard{value.Class, covering.Name}
			plan.Guards = append(plan.Guards, txn.Guard{Key: key, Revision: covering.Revision})
		}
	}
	return nil
}

// holdings are the values that a Service holds.
type holdings map[allocation.Value]holding

// holding is how a Service holds a value, which its claim records.
type holding struct {
	// protocols are those that the Service serves on a port.
	protocols []corev1.Protocol
	// share is the Service's share in a value that several Services can hold. It is nil for
	// other values.
	share *allocation.Share
}

func (h holding) equals(other holding) bool {
	return slices.Equal(h.protocols, other.protocols) && h.share.Equals(other.share)
}

// holdingsOf returns the values that a Service holds. It returns none for nil.
func holdingsOf(svc *v1.Service) holdings {
	held := holdings{}
	if svc == nil {
		return held
	}
	for _, k := range kinds() {
		k.addHoldings(svc, held)
	}
	return held
}

// difference is the change of a Service's holdings in a write. Adopted values are those
// that the Service keeps and had no claim on.
type difference struct {
	take, release, rewrite, adopt []allocation.Value
}

func diff(before, after holdings) difference {
	var d difference
	for value, holds := range after {
		switch had, held := before[value]; {
		case !held:
			d.take = append(d.take, value)
		case !holds.equals(had):
			d.rewrite = append(d.rewrite, value)
		}
	}
	for value := range before {
		if _, held := after[value]; !held {
			d.release = append(d.release, value)
		}
	}
	return d
}

// kept returns the values that the Service holds before and after a write.
func kept(before, after holdings) []allocation.Value {
	var both []allocation.Value
	for value := range after {
		if _, held := before[value]; held {
			both = append(both, value)
		}
	}
	return both
}

// positions are the places of values in a Service.
type positions map[allocation.Value]int

// add adds a value after the others, unless it has a place.
func (p positions) add(value allocation.Value) {
	if _, placed := p[value]; !placed {
		p[value] = len(p)
	}
}

// sortAsWritten sorts values in the order of the Service's spec, addresses first.
// Upstream allocates them in this order, so an error is about the same value.
func sortAsWritten(svc *v1.Service, values []allocation.Value) {
	if len(values) < 2 {
		return
	}
	position := positions{}
	for _, k := range kinds() {
		k.addPositions(svc, position)
	}
	slices.SortFunc(values, func(a, b allocation.Value) int { return position[a] - position[b] })
}

// NewClaims returns the values that a write of after would claim. before is the stored
// Service or nil.
func NewClaims(after, before *v1.Service) []allocation.Value {
	take := diff(holdingsOf(before), holdingsOf(after)).take
	sortAsWritten(after, take)
	return take
}
