package allocation

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// Share is what a Service holds of a value that several Services can hold.
type Share struct {
	v1.LoadBalancerIPHolder
	// Key is the sharing key, which all holders must have. A Service without one shares
	// with none.
	Key string
	// Retains is true for a Service that retains its values when it is deleted.
	Retains bool
}

// Equals reports whether a claim records two shares alike.
func (s *Share) Equals(other *Share) bool {
	if s == nil || other == nil {
		return s == other
	}
	return s.Key == other.Key && s.Namespace == other.Namespace && s.Name == other.Name && s.UID == other.UID &&
		slices.Equal(s.Ports, other.Ports) && slices.Equal(s.SharesWith, other.SharesWith)
}

// Objection says why a Service can't share a value.
type Objection struct {
	// Holder is the holder with which the Service can't share.
	Holder v1.ParentReference
	// Reason continues a sentence that ends with the holder. It is empty for a value that
	// can't be shared at all.
	Reason string
}

// HeldBy reports whether a Service is a holder.
func (c Claim) HeldBy(service types.UID) bool {
	if service == "" {
		return false
	}
	return c.Holder.UID == service || c.Shared != nil && slices.ContainsFunc(c.Shared.Holders, func(h v1.LoadBalancerIPHolder) bool {
		return h.UID == service
	})
}

// HeldByOthers reports whether a Service other than this one is a holder.
func (c Claim) HeldByOthers(service types.UID) bool {
	return c.Shared != nil && slices.ContainsFunc(c.Shared.Holders, func(h v1.LoadBalancerIPHolder) bool { return h.UID != service })
}

// Without returns the claim without one of its holders.
func (c Claim) Without(service types.UID) Claim {
	if c.Shared == nil {
		return c
	}
	c.Shared = &v1.LoadBalancerIPSpec{
		SharingKey: c.Shared.SharingKey,
		Holders:    slices.DeleteFunc(slices.Clone(c.Shared.Holders), func(h v1.LoadBalancerIPHolder) bool { return h.UID == service }),
	}
	return c
}

// Objection returns why a Service can't share the value with its other holders, or nil.
// acrossNamespaces allows holders in different namespaces.
func (c Claim) Objection(share *Share, acrossNamespaces bool) *Objection {
	if share == nil || c.Shared == nil && c.sharingKey() == "" {
		return &Objection{Holder: c.Holder}
	}
	if c.Shared == nil {
		// Those that shared the value and retain it come back in any order.
		first := &v1.LoadBalancerIPHolder{Namespace: c.Holder.Namespace, Name: c.Holder.Name}
		if reason, ok := sharingConflict(first, c.sharingKey(), share, acrossNamespaces); ok || !share.Retains {
			return &Objection{Holder: c.Holder, Reason: reason}
		}
		return nil
	}
	for i := range c.Shared.Holders {
		holder := &c.Shared.Holders[i]
		if holder.UID == share.UID {
			continue
		}
		if reason, ok := sharingConflict(holder, c.Shared.SharingKey, share, acrossNamespaces); ok {
			return &Objection{Holder: *holder.Reference(), Reason: reason}
		}
	}
	return nil
}

// sharingConflict returns why a holder and the Service of a share cannot share a value, if
// they cannot.
func sharingConflict(holder *v1.LoadBalancerIPHolder, key string, share *Share, acrossNamespaces bool) (reason string, conflict bool) {
	switch {
	case share.Key == "":
		return "", true
	case key != share.Key:
		return "which does not share it under the key of the Service", true
	case holder.Namespace != share.Namespace && !acrossNamespaces:
		return "which is in another namespace", true
	case !sharesWith(holder, share.Namespace):
		return "which does not share it with the namespace of the Service", true
	case !sharesWith(&share.LoadBalancerIPHolder, holder.Namespace):
		return "which is in a namespace with which the Service does not share it", true
	}
	for _, port := range holder.Ports {
		if slices.Contains(share.Ports, port) {
			return fmt.Sprintf("which serves %s port %d there", port.Protocol, port.Port), true
		}
	}
	return "", false
}

// sharesWith reports whether a holder shares a value with the Services of a namespace, as far
// as the range allows. It always does with those of its own.
func sharesWith(holder *v1.LoadBalancerIPHolder, namespace string) bool {
	return namespace == holder.Namespace || len(holder.SharesWith) == 0 ||
		slices.Contains(holder.SharesWith, namespace) || slices.Contains(holder.SharesWith, v1.SharesWithAll)
}

// sharingKey returns the key under which a value is shared, or can be taken although it is
// reserved. It is empty if there is none.
func (c Claim) sharingKey() string {
	if c.Shared != nil {
		return c.Shared.SharingKey
	}
	if _, reserved := c.ReservedFor(); reserved && !c.Terms.Deleting {
		return c.Terms.SharingKey
	}
	return ""
}

func (p *pool) recordSharing(number space.Number, claim Claim) {
	key := claim.sharingKey()
	if key == "" {
		return
	}
	if p.sharing[key] == nil {
		p.sharing[key] = map[space.Number]bool{}
	}
	p.sharing[key][number] = true
}

func (p *pool) forgetSharing(number space.Number, claim Claim) {
	key := claim.sharingKey()
	delete(p.sharing[key], number)
	if len(p.sharing[key]) == 0 {
		delete(p.sharing, key)
	}
}

// shareable returns the lowest value of the tiers that a Service can share. It tries every
// value that is shared under the Service's key.
func (p *pool) shareable(tiers []tier, share *Share) (lowest space.Number, found bool) {
	if share == nil || share.Key == "" {
		return lowest, false
	}
	for number := range p.sharing[share.Key] {
		if found && lowest.Compare(number) < 0 {
			continue
		}
		for _, t := range tiers {
			if p.sharesIn(t, number, share) {
				lowest, found = number, true
				break
			}
		}
	}
	return lowest, found
}

// sharesIn reports whether a Service can share a value in a range of a tier.
func (p *pool) sharesIn(t tier, number space.Number, share *Share) bool {
	return slices.ContainsFunc(t.ranges, func(c *candidate) bool {
		return c.has(number) && p.claims[number].Objection(share, c.AcrossNamespaces) == nil &&
			p.objectionOfUsers(number, share, c.AcrossNamespaces) == nil
	})
}

// Shareable returns the value that Pick would give to a Service to share. It is false if
// there is none.
func (x *Index) Shareable(class Class, who Requester) (Value, bool) {
	if who.Share == nil || who.Share.Key == "" {
		return Value{}, false
	}
	p := &x.pools[class]
	tiers := p.selection.Load().tiers(who)
	p.mu.Lock()
	defer p.mu.Unlock()
	number, ok := p.shareable(tiers, who.Share)
	return Value{class, number}, ok
}
