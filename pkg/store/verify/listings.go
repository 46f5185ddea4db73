package verify

import (
	"context"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
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
	for service, keys := range listed {
		for _, key := range keys {
			if cl, exists := c.claims[key]; !c.unreadable[key] && (!exists || cl.reservedFor() != service) {
				c.warning("%s/%s lists %s, which is not reserved for that Service", listings, service, key)
			}
		}
	}
	for key, cl := range c.claims {
		if service := cl.reservedFor(); service != "" && !slices.Contains(listed[service], key) {
			c.warning("%s is reserved for %s/%s and not listed in %s", key, services, service, listings)
		}
	}
}

// reservedFor returns the namespace and name of the Service that a claim is reserved for, or
// an empty text.
func (c claim) reservedFor() string {
	if c.parent == nil || !c.isReservation() || !c.parent.IsService() {
		return ""
	}
	return c.parent.Namespace + "/" + c.parent.Name
}
