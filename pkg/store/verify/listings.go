package verify

import (
	"context"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// listings is where the values that are reserved for each Service are listed; see package
// claims.
const listings = "reservedfor"

// readListings reads the listings.
func (p *pass) readListings(ctx context.Context) error {
	prefix := rootOf(p.Prefix) + listings + "/"
	p.contents.Listings = map[string][]string{}
	return p.scan(ctx, prefix, func(kv *mvccpb.KeyValue) {
		p.contents.Listings[strings.TrimPrefix(string(kv.Key), prefix)] = strings.Fields(string(kv.Value))
	})
}

// checkListings compares the listings with the reservations. A difference is no violation:
// earlier releases know no listings. With one, a Service can get another value than the
// reserved one, for a moment after the reservation was made.
func (c *checker) checkListings(listed map[string][]string) {
	if listed == nil {
		return
	}
	reserved := map[string]string{}
	for key, cl := range c.claims {
		if cl.isReservation() {
			reserved[key] = reservedFor(cl.parent)
		}
	}
	for key, claim := range c.loadBalancers.claims {
		if len(claim.Spec.Holders) == 0 {
			reserved[key] = reservedFor(claim.Spec.ParentRef)
		}
	}
	for service, keys := range listed {
		for _, key := range keys {
			if !c.unreadable[key] && reserved[key] != service {
				c.warning("%s/%s lists %s, which is not reserved for that Service", listings, service, key)
			}
		}
	}
	for key, service := range reserved {
		if service != "" && !slices.Contains(listed[service], key) {
			c.warning("%s is reserved for %s/%s and not listed in %s", key, services, service, listings)
		}
	}
}

// reservedFor returns the namespace and name of the Service that the parent of a reservation
// is, or an empty text.
func reservedFor(parent *v1.ParentReference) string {
	if parent == nil || !parent.IsService() {
		return ""
	}
	return parent.Namespace + "/" + parent.Name
}
