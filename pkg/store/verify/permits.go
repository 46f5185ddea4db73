package verify

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// Where the limits of each namespace are, and the permits of the claims under them; see
// package claims.
const (
	claimLimits  = "claimlimits"
	claimPermits = "claimpermits"
)

// Permit is a key of a permit, or of a value that is claimed with one.
type Permit struct {
	// Value is that of the key: the other of the two.
	Value string
	// Version is the resource version of the key.
	Version string
}

// readPermits reads the limits and the permits.
func (p *pass) readPermits(ctx context.Context) error {
	root := rootOf(p.Prefix)
	p.contents.Limits = map[string]map[string]map[string]int64{}
	err := p.scan(ctx, root+claimLimits+"/", func(kv *mvccpb.KeyValue) {
		hard, key := map[string]map[string]int64{}, strings.TrimPrefix(string(kv.Key), root)
		if err := json.Unmarshal(kv.Value, &hard); err != nil {
			p.reject(Unreadable{Key: key, Reason: "can't be decoded: " + err.Error()})
			return
		}
		p.contents.Limits[strings.TrimPrefix(key, claimLimits+"/")] = hard
	})
	if err != nil {
		return err
	}
	p.contents.Permits = map[string]Permit{}
	return p.scan(ctx, root+claimPermits+"/", func(kv *mvccpb.KeyValue) {
		key := strings.TrimPrefix(string(kv.Key), root)
		p.contents.Permits[key] = Permit{Value: string(kv.Value), Version: strconv.FormatInt(kv.ModRevision, 10)}
	})
}

// permitKey is the key of a permit in its parts.
type permitKey struct {
	namespace, quota, limit string
	// isValue is true if name is that of a claim, and not the number of a permit.
	isValue bool
	name    string
}

func parsePermitKey(key string) (permitKey, bool) {
	parts := strings.SplitN(key, "/", 6)
	if len(parts) != 6 || parts[4] != "permits" && parts[4] != "values" {
		return permitKey{}, false
	}
	return permitKey{
		namespace: parts[1], quota: parts[2], limit: strings.ReplaceAll(parts[3], ":", "/"), isValue: parts[4] == "values", name: parts[5],
	}, true
}

// other returns the key that must exist besides the one of k, whose value is given.
func (k permitKey) other(value string) string {
	folder := "values"
	if k.isValue {
		folder = "permits"
	}
	return strings.Join([]string{claimPermits, k.namespace, k.quota, strings.ReplaceAll(k.limit, "/", ":"), folder, value}, "/")
}

// checkLimits compares the limits of each namespace with its ClaimQuotas.
func (c *checker) checkLimits(contents Contents) {
	if contents.Limits == nil {
		return
	}
	known := map[string]bool{}
	for i := range contents.ClaimQuotas {
		quota := &contents.ClaimQuotas[i]
		known[quota.Namespace+"/"+quota.Name] = true
		if !maps.Equal(contents.Limits[quota.Namespace][quota.Name], quota.Spec.Hard) {
			c.violation("claimquotas/%s/%s is not enforced: %s/%s has other limits", quota.Namespace, quota.Name, claimLimits, quota.Namespace)
		}
	}
	for namespace, quotas := range contents.Limits {
		for name := range quotas {
			if !known[namespace+"/"+name] && !c.unreadable["claimquotas/"+namespace+"/"+name] {
				c.violation("%s/%s has limits of %s, which is no ClaimQuota", claimLimits, namespace, name)
			}
		}
	}
}

// checkPermits checks that each permit is that of a limit, and of a value that a Service of
// the namespace holds.
func (c *checker) checkPermits(contents Contents) {
	held := c.heldByNamespace(contents)
	for key := range contents.Permits {
		if problem := c.permitProblem(contents, held, key); problem != "" {
			c.violation("%s %s", key, problem)
		}
	}
}

func (c *checker) permitProblem(contents Contents, held map[string]bool, key string) string {
	k, ok := parsePermitKey(key)
	if !ok {
		return "is no key of a permit"
	}
	if _, limited := contents.Limits[k.namespace][k.quota][k.limit]; !limited {
		return "is a permit of a limit that does not exist"
	}
	permit := contents.Permits[key]
	if other, exists := contents.Permits[k.other(permit.Value)]; !exists || other.Value != k.name {
		return "and the key of " + permit.Value + " do not name each other"
	}
	if k.isValue && !held[k.namespace+"/"+k.name] {
		return "is a permit of a value that no Service of the namespace holds"
	}
	return ""
}

// heldByNamespace returns what the Services of each namespace hold that counts, by the
// namespace and the name of the claim.
func (c *checker) heldByNamespace(contents Contents) map[string]bool {
	held := map[string]bool{}
	if len(contents.Permits) == 0 {
		return held
	}
	for _, owner := range c.owners {
		if v1.IsMirrored(owner.service) {
			continue
		}
		for claimKey := range owner.held {
			held[owner.service.Namespace+"/"+claimKey] = true
		}
	}
	for claimKey, holders := range c.loadBalancers.holders {
		for _, holder := range holders {
			held[holder.service.Namespace+"/"+claimKey] = true
		}
	}
	return held
}

// repairPermits plans to delete the permits that nothing needs. A value that then has none
// counts all the same.
func (p *planner) repairPermits(contents Contents) {
	held := p.heldByNamespace(contents)
	for _, key := range slices.Sorted(maps.Keys(contents.Permits)) {
		problem := p.permitProblem(contents, held, key)
		k, ok := parsePermitKey(key)
		if problem == "" && !k.isValue {
			// The permit goes with its value.
			if other := k.other(contents.Permits[key].Value); p.permitProblem(contents, held, other) != "" {
				problem = "belongs to " + other
			}
		}
		if problem == "" {
			continue
		}
		repair := Repair{Text: "delete " + key + ": it " + problem, key: key, guards: map[string]string{key: contents.Permits[key].Version}}
		if ok && k.isValue {
			// A Service that has claimed the value meanwhile relies on the permit.
			repair.guards[k.name] = p.versionOf(k.name)
		}
		p.plan.Repairs = append(p.plan.Repairs, repair)
	}
}

// versionOf returns the version of a claim, an empty one if it does not exist.
func (p *planner) versionOf(key string) string {
	if address := p.loadBalancers.claims[key]; address != nil {
		return address.ResourceVersion
	}
	return p.claims[key].version
}
