package allocation

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// Terms are the conditions of a reservation, apart from whom it is for.
type Terms struct {
	// Expires is when the reservation ends. It is zero for one that never ends.
	Expires time.Time
	// Deleting is true for a reservation that is being deleted. It is given to no Service.
	Deleting bool
	// Protocols, ServicePorts and HealthCheck say which port of the Service a node port is
	// for, as v1.NodePortSpec does.
	Protocols    []corev1.Protocol
	ServicePorts []v1.ServicePortReference
	HealthCheck  bool
	// SharingKey is the key under which other Services can take a value that several
	// Services can hold, if they could share it with the Service that it is reserved for. It
	// is empty if there is none.
	SharingKey string
}

// Reservation is a value that is reserved for a Service.
type Reservation struct {
	Value Value
	// Revision is that of the claim.
	Revision int64
	Terms
}

// ReservedFor returns the Service that a claim is reserved for. It reports false for a
// claim that a Service holds, and for a reservation that is for no Service.
func (c Claim) ReservedFor() (service types.NamespacedName, ok bool) {
	if c.Terms == nil || !c.Holder.IsService() {
		return types.NamespacedName{}, false
	}
	return types.NamespacedName{Namespace: c.Holder.Namespace, Name: c.Holder.Name}, true
}

// mayBeTaken reports whether a Service can claim the value of a claim: it is reserved for
// the Service, or the reservation has expired.
func (c Claim) mayBeTaken(service types.NamespacedName, now time.Time) bool {
	if c.Terms == nil || c.Terms.Deleting {
		return false
	}
	if c.Terms.expired(now) {
		return true
	}
	reserved, ok := c.ReservedFor()
	return ok && reserved == service
}

func (t *Terms) expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// MayTake reports whether a Service can claim a value although there is a claim on it,
// because the claim is reserved for the Service or has expired.
func (x *Index) MayTake(claim Claim, service types.NamespacedName) bool {
	return claim.mayBeTaken(service, x.now())
}

// Reserved returns the reservations of a class for a Service, those that were written last
// first. It takes the same time whatever is reserved for others.
func (x *Index) Reserved(class Class, service types.NamespacedName) []Reservation {
	p := &x.pools[class]
	if p.services.Load() == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var reservations []Reservation
	for _, number := range p.reserved[service] {
		claim := p.claims[number]
		if !claim.Terms.Deleting && !claim.Terms.expired(x.now()) {
			reservations = append(reservations, Reservation{Value: Value{class, number}, Revision: claim.Revision, Terms: *claim.Terms})
		}
	}
	slices.SortStableFunc(reservations, func(a, b Reservation) int { return cmp.Compare(b.Revision, a.Revision) })
	return reservations
}

// HasReserved reports whether anything is reserved for a Service.
func (x *Index) HasReserved(service types.NamespacedName) bool {
	for class := range x.pools {
		p := &x.pools[class]
		p.mu.Lock()
		reserved := len(p.reserved[service]) > 0
		p.mu.Unlock()
		if reserved {
			return true
		}
	}
	return false
}

// HasReservations reports whether anything is reserved for any Service. It takes no lock.
func (x *Index) HasReservations() bool {
	for class := range x.pools {
		if x.pools[class].services.Load() > 0 {
			return true
		}
	}
	return false
}

// Expired returns the claims of reservations that have expired, with their revisions.
func (x *Index) Expired(class Class) map[Value]int64 {
	p := &x.pools[class]
	p.mu.Lock()
	defer p.mu.Unlock()
	expired := map[Value]int64{}
	for number := range p.expiring {
		if claim := p.claims[number]; !claim.Terms.Deleting && claim.Terms.expired(x.now()) {
			expired[Value{class, number}] = claim.Revision
		}
	}
	return expired
}

// reserve enters a claim into the reservations of its Service, if it has one, and into
// those that expire.
func (p *pool) reserve(number space.Number, claim Claim) {
	if claim.Terms != nil && !claim.Terms.Expires.IsZero() {
		p.expiring.Insert(number)
	}
	if service, ok := claim.ReservedFor(); ok {
		numbers := p.reserved[service]
		at, _ := slices.BinarySearchFunc(numbers, number, space.Number.Compare)
		p.reserved[service] = slices.Insert(numbers, at, number)
		p.services.Store(int64(len(p.reserved)))
	}
}

// unreserve is the inverse of reserve.
func (p *pool) unreserve(number space.Number, claim Claim) {
	p.expiring.Delete(number)
	service, ok := claim.ReservedFor()
	if !ok {
		return
	}
	numbers := p.reserved[service]
	if at, found := slices.BinarySearchFunc(numbers, number, space.Number.Compare); found {
		numbers = slices.Delete(numbers, at, at+1)
	}
	p.reserved[service] = numbers
	if len(numbers) == 0 {
		delete(p.reserved, service)
	}
	p.services.Store(int64(len(p.reserved)))
}
