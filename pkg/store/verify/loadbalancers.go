package verify

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/portolan-dev/portolan/apis/portolan/addressrange"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/service"
	"github.com/portolan-dev/portolan/pkg/service/loadbalancer"
)

const loadBalancerIPs = "loadbalancerips"

// loadBalancers are the load-balancer addresses of a store. Unlike other values, several
// Services can hold one.
type loadBalancers struct {
	// claims are keyed by their own keys, holders by those of the claims.
	claims  map[string]*v1.LoadBalancerIP
	holders map[string][]lbHolder
	// users has the keys of Services that use an address and do not claim it, by the key of
	// its claim. Another controller has given it to them.
	users map[string][]string
	pools []addressrange.Range
	// anyPool is true if a pool can't be read: all addresses are assumed to lie in it.
	anyPool bool
}

// lbHolder is a Service that holds a load-balancer address.
type lbHolder struct {
	key     string
	service *v1.Service
	holder  v1.LoadBalancerIPHolder
	// sharingKey is the one that the Service's annotations have.
	sharingKey string
}

func newLoadBalancers(contents Contents) loadBalancers {
	l := loadBalancers{claims: map[string]*v1.LoadBalancerIP{}, holders: map[string][]lbHolder{}, users: map[string][]string{}}
	for i := range contents.LoadBalancerIPs {
		claim := &contents.LoadBalancerIPs[i]
		l.claims[keyOf(loadBalancerIPs, "", claim.Name)] = claim
	}
	for i := range contents.Services {
		svc := &contents.Services[i]
		request, _ := loadbalancer.Parse(svc)
		for _, address := range service.UnclaimedAddresses(svc) {
			key := keyOf(loadBalancerIPs, "", address.String())
			l.users[key] = append(l.users[key], keyOf(services, svc.Namespace, svc.Name))
		}
		holder := service.LoadBalancerHolder(svc)
		holder.SharesWith = request.SharesWith
		for _, address := range service.LoadBalancerAddresses(svc) {
			key := keyOf(loadBalancerIPs, "", address.String())
			l.holders[key] = append(l.holders[key], lbHolder{
				key: keyOf(services, svc.Namespace, svc.Name), service: svc, sharingKey: request.SharingKey, holder: holder,
			})
		}
	}
	for i := range contents.LoadBalancerPools {
		l.pools = append(l.pools, addressrange.OfPool(&contents.LoadBalancerPools[i].Spec)...)
	}
	for _, value := range contents.Unreadable {
		l.anyPool = l.anyPool || strings.HasPrefix(value.Key, "loadbalancerpools/")
	}
	return l
}

// keys returns the keys of all claims, and of those that Services need, in order.
func (l loadBalancers) keys() []string {
	keys := slices.Collect(maps.Keys(l.claims))
	for key := range l.holders {
		if l.claims[key] == nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (l loadBalancers) inPool(address string) bool {
	addr, err := netip.ParseAddr(address)
	return l.anyPool || err == nil && slices.ContainsFunc(l.pools, func(r addressrange.Range) bool {
		return r.First.Is4() == addr.Is4() && !addr.Less(r.First) && !r.Last.Less(addr)
	})
}

// check compares every load-balancer address with the Services that hold it.
func (l loadBalancers) check(c *checker) {
	for _, key := range l.keys() {
		address := addressOf(key)
		for _, holder := range l.holders[key] {
			c.report.LoadBalancerAddressesHeld++
			if !l.inPool(address) {
				c.warning("%s holds %s, which lies in no LoadBalancerPool", holder.key, address)
			}
			if !c.unreadable[key] {
				l.checkHolder(c, key, holder)
			}
		}
		for _, user := range l.users[key] {
			if len(l.holders[key]) > 0 {
				c.warning("%s has %s in its status without a claim, and %s holds it", user, address, l.holders[key][0].key)
			}
		}
		for _, problem := range conflicts(l.holders[key]) {
			c.violation("%s %s", address, problem)
		}
		if claim := l.claims[key]; claim != nil {
			l.checkClaim(c, key, claim)
		}
	}
}

func (l loadBalancers) checkHolder(c *checker, key string, held lbHolder) {
	address, claim := addressOf(key), l.claims[key]
	switch {
	case claim == nil:
		c.violation("%s holds %s, but %s does not exist", held.key, address, key)
		return
	case len(claim.Spec.Holders) == 0:
		c.violation("%s holds %s, but %s is a reservation, held by no Service", held.key, address, key)
		return
	}
	recorded := recordOf(claim, held.holder.UID)
	switch {
	case recorded == nil || keyOf(services, recorded.Namespace, recorded.Name) != held.key:
		c.violation("%s holds %s, but is no holder of %s", held.key, address, key)
	case !slices.Equal(recorded.Ports, held.holder.Ports):
		c.violation("%s is claimed for %s of %s, which serves %s", key, portsText(recorded.Ports), held.key, portsText(held.holder.Ports))
	case claim.Spec.SharingKey != held.sharingKey:
		c.violation("%s has the sharing key %q, but %s has %q", key, claim.Spec.SharingKey, held.key, held.sharingKey)
	}
}

// checkClaim checks that each holder of a claim is a Service that holds the address.
func (l loadBalancers) checkClaim(c *checker, key string, claim *v1.LoadBalancerIP) {
	if problem := nameProblem(lbName(key)); problem != "" {
		c.violation("%s %s", key, problem)
		return
	}
	if len(claim.Spec.Holders) == 0 {
		c.report.ReservedLoadBalancerAddresses++
		return
	}
	known := map[types.UID]bool{}
	for i := range claim.Spec.Holders {
		recorded := &claim.Spec.Holders[i]
		owner := keyOf(services, recorded.Namespace, recorded.Name)
		if known[recorded.UID] {
			c.violation("%s has the holder %s (uid %s) twice", key, owner, recorded.UID)
		}
		known[recorded.UID] = true
		o, exists := c.owners[owner]
		switch {
		case c.unreadable[owner]:
		case !exists:
			c.violation("%s is held by %s (uid %s), which does not exist", key, owner, recorded.UID)
		case o.uid != recorded.UID:
			c.violation("%s is held by %s (uid %s), which does not exist: the uid of %s is %s", key, owner, recorded.UID, owner, o.uid)
		case !slices.ContainsFunc(l.holders[key], func(h lbHolder) bool { return h.key == owner }):
			c.violation("%s is held by %s (uid %s), which does not hold it", key, owner, recorded.UID)
		}
	}
}

// conflicts returns what keeps the Services that hold an address from sharing it.
func conflicts(holders []lbHolder) []string {
	var problems []string
	for i, one := range holders {
		for _, other := range holders[i+1:] {
			if one.sharingKey == "" || one.sharingKey != other.sharingKey {
				problems = append(problems, fmt.Sprintf("is held by both %s and %s, which have no sharing key in common", one.key, other.key))
			}
			for _, port := range one.holder.Ports {
				if slices.Contains(other.holder.Ports, port) {
					problems = append(problems, fmt.Sprintf("is held by both %s and %s with %s", one.key, other.key, portText(port)))
				}
			}
		}
	}
	return problems
}

// repair plans to make the claims agree with the Services.
func (l loadBalancers) repair(p *planner) {
	for _, key := range l.keys() {
		holders, claim := l.holders[key], l.claims[key]
		reserved := claim != nil && len(claim.Spec.Holders) == 0
		problem := nameProblem(lbName(key))
		switch problems := conflicts(holders); {
		case claim != nil && problem != "":
			p.manual("%s %s: delete it from etcd by hand", key, problem)
		case len(problems) > 0:
			p.manual("%s %s: give another address to one of them", addressOf(key), problems[0])
		case len(holders) > 0 && reserved:
			p.manual("%s holds %s, but %s is a reservation: delete the reservation and repair again, or give the Service another address",
				holders[0].key, addressOf(key), key)
		case slices.ContainsFunc(holders, func(h lbHolder) bool { return h.holder.UID == "" || p.uids[h.holder.UID] > 1 }):
			p.manual("a holder of %s has no uid of its own: delete the Service and create it again", addressOf(key))
		case len(holders) == 0 && !reserved:
			p.plan.Repairs = append(p.plan.Repairs, l.rewrite(p, key, nil, "delete %s: no Service holds it"))
		case len(holders) > 0:
			l.repairHolders(p, key)
		}
	}
}

// repairHolders plans to write the claim with the Services that hold the address. Holders
// that the claim has already keep their order.
func (l loadBalancers) repairHolders(p *planner, key string) {
	want := v1.NewHeldLoadBalancerAddress(addressOf(key), l.holders[key][0].sharingKey, v1.LoadBalancerIPHolder{})
	want.Spec.Holders = nil
	claim := l.claims[key]
	for _, held := range l.holders[key] {
		want.Spec.Holders = append(want.Spec.Holders, held.holder)
	}
	if claim == nil {
		p.plan.Repairs = append(p.plan.Repairs, l.rewrite(p, key, want, "create %s: "+l.holders[key][0].key+" holds it"))
		return
	}
	place := func(h v1.LoadBalancerIPHolder) int {
		at := slices.IndexFunc(claim.Spec.Holders, func(recorded v1.LoadBalancerIPHolder) bool { return recorded.UID == h.UID })
		if at < 0 {
			return len(claim.Spec.Holders)
		}
		return at
	}
	slices.SortStableFunc(want.Spec.Holders, func(a, b v1.LoadBalancerIPHolder) int { return place(a) - place(b) })
	same := func(a, b v1.LoadBalancerIPHolder) bool {
		return a.UID == b.UID && a.Namespace == b.Namespace && a.Name == b.Name && slices.Equal(a.Ports, b.Ports)
	}
	if claim.Spec.SharingKey == want.Spec.SharingKey && slices.EqualFunc(claim.Spec.Holders, want.Spec.Holders, same) {
		return
	}
	repaired := claim.DeepCopy()
	repaired.ResourceVersion, repaired.Spec = "", want.Spec
	p.plan.Repairs = append(p.plan.Repairs, l.rewrite(p, key, repaired, "write the holders of %s as the Services have them"))
}

// rewrite returns a repair that writes a claim, or deletes it if it is nil. It compares the
// versions of the claim and of every Service that holds the address or is recorded as a
// holder.
func (l loadBalancers) rewrite(p *planner, key string, claim *v1.LoadBalancerIP, text string) Repair {
	repair := Repair{Text: fmt.Sprintf(text, key), key: key, guards: map[string]string{key: ""}}
	if claim != nil {
		repair.claim = claim
	}
	if stored := l.claims[key]; stored != nil {
		repair.guards[key] = stored.ResourceVersion
		for _, recorded := range stored.Spec.Holders {
			owner := keyOf(services, recorded.Namespace, recorded.Name)
			repair.guards[owner] = ""
			if o, exists := p.owners[owner]; exists {
				repair.guards[owner] = o.service.ResourceVersion
			}
		}
	}
	for _, held := range l.holders[key] {
		repair.guards[held.key] = held.service.ResourceVersion
	}
	return repair
}

func recordOf(claim *v1.LoadBalancerIP, uid types.UID) *v1.LoadBalancerIPHolder {
	for i := range claim.Spec.Holders {
		if claim.Spec.Holders[i].UID == uid {
			return &claim.Spec.Holders[i]
		}
	}
	return nil
}

// lbName is a claim of which only the name is known.
func lbName(key string) claim { return claim{key: key} }

func addressOf(key string) string { return strings.TrimPrefix(key, loadBalancerIPs+"/") }

func portText(port v1.LoadBalancerIPPort) string {
	return fmt.Sprintf("%s %d", port.Protocol, port.Port)
}

func portsText(ports []v1.LoadBalancerIPPort) string {
	if len(ports) == 0 {
		return "no port"
	}
	var texts []string
	for _, port := range ports {
		texts = append(texts, portText(port))
	}
	return strings.Join(texts, ", ")
}
