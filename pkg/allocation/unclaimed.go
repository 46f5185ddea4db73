package allocation

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// uses are the values of one class that Services use and do not claim.
type uses struct {
	// of has the share of each Service that uses a number.
	of map[space.Number]map[types.UID]*Share
	// by has the numbers that a Service uses.
	by map[types.UID][]space.Number
}

func newUses() uses {
	return uses{of: map[space.Number]map[types.UID]*Share{}, by: map[types.UID][]space.Number{}}
}

func (u uses) add(number space.Number, share *Share) {
	if u.of[number] == nil {
		u.of[number] = map[types.UID]*Share{}
	}
	u.of[number][share.UID] = share
	u.by[share.UID] = append(u.by[share.UID], number)
}

func (u uses) remove(number space.Number, service types.UID) {
	delete(u.of[number], service)
	if len(u.of[number]) == 0 {
		delete(u.of, number)
	}
	u.by[service] = slices.DeleteFunc(u.by[service], func(n space.Number) bool { return n == number })
	if len(u.by[service]) == 0 {
		delete(u.by, service)
	}
}

// SetUses records all values that a Service uses, with or without a claim, and what it would
// hold of them. Another controller has given it those that it does not claim. No pick returns
// them.
func (x *Index) SetUses(share *Share, values []Value) {
	for class := range x.pools {
		p := &x.pools[class]
		var numbers []space.Number
		for _, value := range values {
			if value.Class == Class(class) {
				numbers = append(numbers, value.Number)
			}
		}
		p.mu.Lock()
		p.setUses(share, numbers)
		p.mu.Unlock()
	}
}

// Users returns the Services that use values without a claim.
func (x *Index) Users() []types.UID {
	var users []types.UID
	for class := range x.pools {
		p := &x.pools[class]
		p.mu.Lock()
		users = slices.AppendSeq(users, maps.Keys(p.uses.by))
		p.mu.Unlock()
	}
	return users
}

func (p *pool) setUses(share *Share, numbers []space.Number) {
	before := slices.Clone(p.uses.by[share.UID])
	for _, number := range before {
		p.uses.remove(number, share.UID)
	}
	for _, number := range numbers {
		if !p.claims[number].HeldBy(share.UID) {
			p.uses.add(number, share)
			p.space.Take(number)
		}
	}
	for _, number := range before {
		p.makeFree(number)
	}
}

// claimUses forgets the uses that a claim is for.
func (p *pool) claimUses(number space.Number, claim Claim) {
	for service := range p.uses.of[number] {
		if claim.HeldBy(service) {
			p.uses.remove(number, service)
		}
	}
}

// IsUsed reports whether a Service uses a value and does not claim it.
func (x *Index) IsUsed(value Value) bool {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.uses.of[value.Number]) > 0
}

// ObjectionOfUsers returns why a Service can't claim a value that others use and do not
// claim, or nil. A Service that uses it too can claim it: the first one does.
func (x *Index) ObjectionOfUsers(value Value, share *Share, acrossNamespaces bool) *Objection {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	users := p.uses.of[value.Number]
	if users[share.UID] != nil {
		return nil
	}
	inOrder := slices.SortedFunc(maps.Values(users), func(a, b *Share) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, user := range inOrder {
		if reason, conflict := sharingConflict(&user.LoadBalancerIPHolder, user.Key, share, acrossNamespaces); conflict {
			return &Objection{Holder: *user.Reference(), Reason: reason}
		}
	}
	return nil
}

// unclaimed counts the numbers of tiers that are used and that nobody claims.
func (p *pool) unclaimed(tiers []tier) int {
	n := 0
	for number := range p.uses.of {
		_, claimed := p.claims[number]
		if !claimed && slices.ContainsFunc(tiers, func(t tier) bool { return containNumber(t.spans, number) }) {
			n++
		}
	}
	return n
}
