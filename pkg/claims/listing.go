package claims

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// listing has the values that are reserved for a Service. It has a key of its own in etcd,
// which every transaction writes that makes or takes a reservation for the Service. A
// transaction that gives the Service a picked value relies on it, so that a replica whose
// index lags behind picks nothing for a Service that has reservations.
//
// Releases without listings may leave a listing with values that are not reserved anymore,
// and reservations that are in none. The former are ignored. The latter are given to their
// Service as far as the index knows them.
type listing struct {
	key      string
	revision int64
	values   []allocation.Value
	// others are the lines of kinds that only a later release knows. They stay.
	others string
}

// listingKey returns the key of the listing of a Service.
func (l *Ledger) listingKey(service types.NamespacedName) string {
	return path.Join(l.root, "reservedfor", service.Namespace, service.Name)
}

func (l *Ledger) readListing(ctx context.Context, service types.NamespacedName) (listing, error) {
	key := l.listingKey(service)
	found, err := l.client.Get(ctx, key, kubernetes.GetOptions{})
	if err != nil {
		return listing{}, err
	}
	return parseListing(key, found.KV), nil
}

// parseListing parses lines such as nodeports/30080.
func parseListing(key string, kv *mvccpb.KeyValue) listing {
	listed := listing{key: key}
	if kv == nil {
		return listed
	}
	listed.revision = kv.ModRevision
	for line := range strings.Lines(string(kv.Value)) {
		k, name := splitClaimName(line)
		if k == nil {
			listed.others += line
			continue
		}
		if value, ok := k.parse(name); ok {
			listed.values = append(listed.values, value)
		}
	}
	return listed
}

// change plans the change of the listing. It relies on the listing even if that stays as it
// is.
func (s listing) change(plan *txn.Plan, remove func(allocation.Value) bool, add ...allocation.Value) {
	plan.Guards = append(plan.Guards, txn.Guard{Key: s.key, Revision: s.revision})
	var text strings.Builder
	text.WriteString(s.others)
	add = slices.DeleteFunc(add, func(value allocation.Value) bool { return slices.Contains(s.values, value) })
	count := 0
	for _, value := range slices.Concat(s.values, add) {
		if remove == nil || !remove(value) {
			text.WriteString(claimName(value) + "\n")
			count++
		}
	}
	switch {
	case count == len(s.values) && len(add) == 0:
	case text.Len() == 0:
		plan.Deletes = append(plan.Deletes, s.key)
	default:
		plan.Puts = append(plan.Puts, txn.Put{Key: s.key, Value: []byte(text.String())})
	}
}

// learnListed enters listed reservations that the index does not know.
func (l *Ledger) learnListed(ctx context.Context, service types.NamespacedName, listed listing) error {
	for _, value := range listed.values {
		if l.isReserved(value, service) {
			continue
		}
		if _, err := l.readClaim(ctx, value); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) isReserved(value allocation.Value, service types.NamespacedName) bool {
	claim, known := l.Index.Lookup(value)
	reserved, ok := claim.ReservedFor()
	return known && ok && reserved == service
}

// planListings plans the changes of the listings of the Service and of those whose expired
// reservations it takes.
func (p *planner) planListings(ctx context.Context) error {
	for service, taken := range p.taken {
		if service == nameOfService(p.owner) {
			continue
		}
		listed, err := p.ledger.readListing(ctx, service)
		if err != nil {
			return err
		}
		listed.change(p.plan, func(value allocation.Value) bool { return slices.Contains(taken, value) })
	}
	return p.planListing(ctx)
}

// planListing makes a write rely on the listing of its Service, if values that were picked
// for the Service may be in the place of reserved ones, and changes the listing with what
// the write reserves and takes. It returns a *retryError if admission did not know a
// reservation when it picked.
func (p *planner) planListing(ctx context.Context) error {
	l, service := p.ledger, nameOfService(p.owner)
	changes := len(p.taken[service]) > 0 || len(p.reserved) > 0
	if !changes && !l.mayHaveReservations(p.owner) {
		return nil
	}
	picked := filter(p.take, p.picks.Picked)
	if !changes && len(picked) == 0 {
		return nil
	}
	listed := listing{key: l.listingKey(service)}
	if changes || p.relist || l.Index.HasReserved(service) {
		var err error
		if listed, err = l.readListing(ctx, service); err != nil {
			return err
		}
		if err := l.learnListed(ctx, service, listed); err != nil {
			return err
		}
		if l.missed(service, p.picks) {
			return &retryError{lost: picked, reserved: true}
		}
	}
	p.listing = listed.key
	listed.change(p.plan, func(value allocation.Value) bool {
		_, retained := p.reserved[value]
		return !retained && (slices.Contains(p.taken[service], value) || !l.isReserved(value, service))
	}, slices.Collect(maps.Keys(p.reserved))...)
	return nil
}

// missed reports whether the index now has a reservation for a Service that admission did
// not know.
func (l *Ledger) missed(service types.NamespacedName, picks *requeststate.Picks) bool {
	return slices.ContainsFunc(allocation.Classes(), func(class allocation.Class) bool {
		return slices.ContainsFunc(l.Index.Reserved(class, service), func(r allocation.Reservation) bool { return picks.Missed(r.Value) })
	})
}

// missedListed is missed after the index has learned what is listed. A Service is not
// rejected before that: what it can't have may be reserved for it.
func (l *Ledger) missedListed(ctx context.Context, svc *v1.Service, picks *requeststate.Picks) (bool, error) {
	if !l.mayHaveReservations(svc) {
		return false, nil
	}
	service := nameOfService(svc)
	listed, err := l.readListing(ctx, service)
	if err != nil {
		return false, err
	}
	if err := l.learnListed(ctx, service, listed); err != nil {
		return false, err
	}
	return l.missed(service, picks), nil
}
