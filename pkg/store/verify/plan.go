package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// Plan says how to repair violations.
type Plan struct {
	// Repairs are independent of each other.
	Repairs []Repair
	// Manual holds the violations that a person has to repair, each with advice.
	Manual []string
}

// Repair is one transaction that makes a claim agree with its Service.
type Repair struct {
	// Text describes the repair, e.g. "delete ipaddresses/10.96.0.5: …".
	Text string
	// guards holds the resource versions that the transaction compares, by key below
	// the API group. An empty version means that the object must not exist.
	guards map[string]string
	// key is the key of the claim to write, or to delete if claim is nil.
	key   string
	claim runtime.Object
}

// MakePlan plans how to repair a store. A claim whose holder doesn't hold the value
// is deleted, or given to the one Service that does. A value that a Service holds
// without a claim is claimed for it. No Service and no reservation loses a value:
// if two compete, a person has to decide.
func MakePlan(contents Contents) Plan {
	p := &planner{checker: newChecker(contents), uids: map[types.UID]int{}}
	if n := len(contents.Unreadable); n > 0 {
		p.manual("%s can't be read, and what they hold is unknown: make all objects readable (--encryption-provider-config) or delete them, "+
			"then repair again", count(n, "object"))
		return p.plan
	}
	for _, owner := range p.owners {
		p.uids[owner.uid]++
	}
	keys := map[string]bool{}
	for key := range p.holders {
		keys[key] = true
	}
	for key := range p.claims {
		keys[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		p.repair(key)
	}
	p.loadBalancers.repair(p)
	p.repairPermits(contents)
	for i := range contents.ClaimQuotas {
		quota := &contents.ClaimQuotas[i]
		if contents.Limits != nil && !maps.Equal(contents.Limits[quota.Namespace][quota.Name], quota.Spec.Hard) {
			p.manual("claimquotas/%s/%s is not enforced: delete it and create it again", quota.Namespace, quota.Name)
		}
	}
	return p.plan
}

type planner struct {
	*checker
	// uids counts the Services with each uid.
	uids map[types.UID]int
	plan Plan
}

func (p *planner) manual(format string, args ...any) {
	p.plan.Manual = append(p.plan.Manual, fmt.Sprintf(format, args...))
}

func (p *planner) repair(key string) {
	cl, claimed := p.claims[key]
	holders := slices.Sorted(slices.Values(p.holders[key]))
	if claimed {
		if problem := nameProblem(cl); problem != "" {
			p.manual("%s %s: delete it from etcd by hand", key, problem)
			return
		}
	}
	reserved := claimed && cl.isReservation()
	switch {
	case len(holders) > 1:
		p.manual("%s is held by %s: give another value to all but one of them", p.owners[holders[0]].held[key].text,
			strings.Join(holders, " and "))
	case len(holders) == 1 && p.uids[p.owners[holders[0]].uid] > 1, len(holders) == 1 && p.owners[holders[0]].uid == "":
		p.manual("%s has no uid of its own: delete the Service and create it again", holders[0])
	case claimed && !reserved && !cl.namesService():
		p.manual("%s is held by %s, which is not a Service: delete it from etcd by hand", key, cl.holder())
	case len(holders) == 1 && reserved:
		p.manual("%s holds %s, but %s is a reservation: delete the reservation and repair again, or give the Service another value",
			holders[0], p.owners[holders[0]].held[key].text, key)
	case len(holders) == 1 && !claimed:
		p.claimFor(holders[0], key, "create %s: %s holds it")
	case len(holders) == 1 && !p.isClaimOf(cl, holders[0]):
		p.claimFor(holders[0], key, "give %s to %s, which holds it")
	case len(holders) == 1 && cl.isPort && !sameProtocols(cl.protocols, p.owners[holders[0]].held[key].protocols):
		p.claimFor(holders[0], key, "write the protocols of %s as %s serves them")
	case len(holders) == 0 && claimed && !reserved:
		repair := Repair{Text: fmt.Sprintf("delete %s: %s doesn't hold it", key, cl.holder()), key: key, guards: map[string]string{}}
		p.guard(&repair, cl)
		p.plan.Repairs = append(p.plan.Repairs, repair)
	}
}

func (p *planner) isClaimOf(cl claim, holder string) bool {
	return cl.holderKey() == holder && cl.parent.UID == p.owners[holder].uid
}

// claimFor plans to write the claim of a Service, replacing any claim with its key.
func (p *planner) claimFor(holder, key, text string) {
	owner := p.owners[holder]
	held := owner.held[key]
	_, name, _ := strings.Cut(key, "/")
	repair := Repair{Text: fmt.Sprintf(text, key, holder), key: key, guards: map[string]string{key: ""}}
	if cl, claimed := p.claims[key]; claimed {
		p.guard(&repair, cl)
	}
	repair.guards[holder] = owner.service.ResourceVersion
	if held.isPort {
		protocols := append([]corev1.Protocol(nil), held.protocols...)
		repair.claim = v1.NewHeldPort(name, protocols, owner.service)
	} else {
		repair.claim = v1.NewHeldAddress(name, owner.service)
	}
	p.plan.Repairs = append(p.plan.Repairs, repair)
}

// guard makes a repair compare the versions of a claim and of the Service that the
// claim names.
func (p *planner) guard(repair *Repair, cl claim) {
	repair.guards[cl.key] = cl.version
	version := ""
	if owner, exists := p.owners[cl.holderKey()]; exists {
		version = owner.service.ResourceVersion
	}
	repair.guards[cl.holderKey()] = version
}

// String formats the plan for people.
func (p Plan) String() string {
	var b strings.Builder
	for _, repair := range p.Repairs {
		fmt.Fprintf(&b, "plan: %s\n", repair.Text)
	}
	for _, manual := range p.Manual {
		fmt.Fprintf(&b, "by hand: %s\n", manual)
	}
	if len(p.Repairs) == 0 {
		b.WriteString("There is nothing to repair.\n")
	}
	return b.String()
}
