package allocation

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// uses are the values of one class that Services use and do not claim, because another
// controller has given them.
type uses struct {
	// of has the share of each Service that uses a number.
	of map[space.Number]map[types.NamespacedName]*Share
	// by has the numbers that a Service uses.
	by map[types.NamespacedName][]space.Number
}

func newUses() uses {
	return uses{of: map[space.Number]map[types.NamespacedName]*Share{}, by: map[types.NamespacedName][]space.Number{}}
}

func nameOf(share *Share) types.NamespacedName {
	return types.NamespacedName{Namespace: share.Namespace, Name: share.Name}
}

// SetUses records all values that a Service uses and does not claim, and what it would hold of
// them. No pick of another Service returns them, unless the two could share them.
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

func (p *pool) setUses(share *Share, numbers []space.Number) {
	service := nameOf(share)
	before := p.uses.by[service]
	delete(p.uses.by, service)
	for _, number := range before {
		delete(p.uses.of[number], service)
		if len(p.uses.of[number]) == 0 {
			delete(p.uses.of, number)
		}
	}
	for _, number := range numbers {
		if p.uses.of[number] == nil {
			p.uses.of[number] = map[types.NamespacedName]*Share{}
		}
		p.uses.of[number][service] = share
		p.space.Take(number)
	}
	if len(numbers) > 0 {
		p.uses.by[service] = numbers
	}
	for _, number := range before {
		p.makeFree(number)
	}
}

// AllUsers returns the Services that use values without a claim.
func (x *Index) AllUsers() []types.NamespacedName {
	var users []types.NamespacedName
	for class := range x.pools {
		p := &x.pools[class]
		p.mu.Lock()
		users = slices.AppendSeq(users, maps.Keys(p.uses.by))
		p.mu.Unlock()
	}
	return users
}

// Users returns the Services that use a value without a claim.
func (x *Index) Users(value Value) []types.NamespacedName {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.uses.of[value.Number]))
}

// ObjectionOfUsers returns why a Service can't claim a value that others use without a claim,
// or nil. A Service that uses it too can claim it: the first one does.
func (x *Index) ObjectionOfUsers(value Value, share *Share, acrossNamespaces bool) *Objection {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.objectionOfUsers(value.Number, share, acrossNamespaces)
}

func (p *pool) objectionOfUsers(number space.Number, share *Share, acrossNamespaces bool) *Objection {
	users := p.uses.of[number]
	if len(users) == 0 || users[nameOf(share)] != nil {
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
		if _, claimed := p.claims[number]; !claimed && inTiers(tiers, number) {
			n++
		}
	}
	return n
}
