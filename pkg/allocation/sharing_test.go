package allocation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// sharer is a holder in a namespace, with TCP ports.
func sharer(namespace, uid string, ports ...int32) v1.LoadBalancerIPHolder {
	holder := v1.LoadBalancerIPHolder{Namespace: namespace, Name: uid, UID: types.UID(uid)}
	for _, port := range ports {
		holder.Ports = append(holder.Ports, v1.LoadBalancerIPPort{Protocol: "TCP", Port: port})
	}
	return holder
}

func sharedBy(key string, revision int64, holders ...v1.LoadBalancerIPHolder) Claim {
	return Claim{Holder: *holders[0].Reference(), Revision: revision, Shared: &v1.LoadBalancerIPSpec{SharingKey: key, Holders: holders}}
}

func TestObjection(t *testing.T) {
	web, tls := sharer("a", "web", 80), sharer("a", "tls", 443)
	udp := sharer("a", "udp")
	udp.Ports = []v1.LoadBalancerIPPort{{Protocol: "UDP", Port: 80}}
	of := func(holder v1.LoadBalancerIPHolder, key string) *Share {
		return &Share{LoadBalancerIPHolder: holder, Key: key, Retains: true}
	}
	fleeting := of(tls, "k")
	fleeting.Retains = false
	picky := of(sharer("b", "b", 90), "k")
	picky.SharesWith = []string{"c"}
	only, open := sharer("a", "web", 80), sharer("a", "web", 80)
	only.SharesWith, open.SharesWith = []string{"a"}, []string{"*"}
	reservedFor := func(terms Terms) Claim {
		return Claim{Holder: v1.ParentReference{Resource: "services", Namespace: "a", Name: "web"}, Terms: &terms}
	}
	const otherKey = "web, which does not share it under the key of the Service"
	const otherNamespace = "web, which is in another namespace"
	for name, test := range map[string]struct {
		claim  Claim
		share  *Share
		across bool
		want   string
	}{
		"reserved, one of the key":           {reservedFor(Terms{SharingKey: "k"}), of(tls, "k"), false, ""},
		"reserved, one that retains nothing": {reservedFor(Terms{SharingKey: "k"}), fleeting, false, "web, "},
		"reserved, another key":              {reservedFor(Terms{SharingKey: "k"}), of(tls, "l"), false, otherKey},
		"reserved, no key":                   {reservedFor(Terms{SharingKey: "k"}), of(tls, ""), false, "web, "},
		"reserved without a key":             {reservedFor(Terms{}), of(tls, "k"), false, "web, "},
		"reserved, another namespace":        {reservedFor(Terms{SharingKey: "k"}), of(sharer("b", "b"), "k"), false, otherNamespace},
		"reserved, across namespaces":        {reservedFor(Terms{SharingKey: "k"}), of(sharer("b", "b"), "k"), true, ""},
		"reservation that is going away":     {reservedFor(Terms{SharingKey: "k", Deleting: true}), of(tls, "k"), false, "web, "},
		"another port":                       {sharedBy("k", 1, web), of(tls, "k"), false, ""},
		"another protocol":                   {sharedBy("k", 1, web), of(udp, "k"), false, ""},
		"two others":                         {sharedBy("k", 1, web, tls), of(sharer("a", "b", 90), "k"), false, ""},
		"port of the second": {sharedBy("k", 1, web, tls), of(sharer("a", "b", 90, 443), "k"), false,
			"tls, which serves TCP port 443 there"},
		"another key":       {sharedBy("k", 1, web), of(tls, "l"), false, otherKey},
		"no key":            {sharedBy("k", 1, web), of(tls, ""), false, "web, "},
		"neither has a key": {sharedBy("", 1, web), of(tls, ""), false, "web, "},
		"another namespace": {sharedBy("k", 1, web), of(sharer("b", "b", 90), "k"), false, otherNamespace},
		"across namespaces": {sharedBy("k", 1, web), of(sharer("b", "b", 90), "k"), true, ""},
		"not with that one": {sharedBy("k", 1, web), picky, true,
			"web, which is in a namespace with which the Service does not share it"},
		"not with this one": {sharedBy("k", 1, only), of(sharer("b", "b", 90), "k"), true,
			"web, which does not share it with the namespace of the Service"},
		"with all":               {sharedBy("k", 1, open), of(sharer("b", "b", 90), "k"), true, ""},
		"alone, with a new key":  {sharedBy("k", 1, web), of(sharer("a", "web", 80), "l"), false, ""},
		"reservation":            {Claim{Holder: v1.ParentReference{Name: "router"}}, of(web, "k"), true, "router, "},
		"no holder any more":     {sharedBy("k", 1, web).Without("web"), of(tls, "l"), false, ""},
		"without the other port": {sharedBy("k", 1, web, tls).Without("tls"), of(sharer("a", "b", 443), "k"), false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if objection := test.claim.Objection(test.share, test.across); objection != nil {
				got = objection.Holder.Name + ", " + objection.Reason
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestHeldBy(t *testing.T) {
	claim := sharedBy("k", 1, sharer("a", "web"), sharer("a", "tls"))
	if !claim.HeldBy("web") || !claim.HeldBy("tls") || claim.HeldBy("dns") || claim.HeldBy("") {
		t.Error("holders are not known")
	}
	if !claim.HeldByOthers("web") || claim.Without("tls").HeldByOthers("web") || heldBy("web", 1).HeldByOthers("tls") {
		t.Error("other holders are not known")
	}
	if !claim.HeldBy("tls") {
		t.Error("Without changed the claim")
	}
}

// poolModel is a few pools with claims, of which the index is asked.
type poolModel struct {
	pools  []Range
	claims map[int]Claim
}

const modelAddresses = 12

func modelAddress(i int) Value {
	return LoadBalancerAddress(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
}

func makePoolModel(random *rand.Rand) (poolModel, *Index) {
	m := poolModel{claims: map[int]Claim{}}
	x, _ := newIndex()
	for i := range 1 + random.IntN(3) {
		first := random.IntN(modelAddresses)
		last := first + random.IntN(modelAddresses-first)
		r := usableRange(fmt.Sprint("pool-", i), 1, Block{Span: space.Span{First: modelAddress(first).Number, Last: modelAddress(last).Number}})
		r.AcrossNamespaces = random.IntN(2) == 0
		r.LoadBalancerClass = []string{"", "", "", "c"}[random.IntN(4)]
		if random.IntN(3) == 0 {
			r.Services = labels.SelectorFromSet(labels.Set{"team": string(rune('a' + random.IntN(2)))})
		}
		m.pools = append(m.pools, r)
		x.SetRange(LoadBalancerIPv4, r)
	}
	for i := range modelAddresses {
		if random.IntN(3) == 0 {
			continue
		}
		claim := sharedBy(makeKey(random), 2, makeSharer(random, fmt.Sprint("x", i)))
		if random.IntN(3) == 0 {
			claim.Shared.Holders = append(claim.Shared.Holders, makeSharer(random, fmt.Sprint("y", i)))
		}
		m.claims[i] = claim
		x.Observe(modelAddress(i), claim)
	}
	return m, x
}

func makeKey(random *rand.Rand) string { return []string{"", "k", "l"}[random.IntN(3)] }

func makeSharer(random *rand.Rand, uid string) v1.LoadBalancerIPHolder {
	return sharer(string(rune('a'+random.IntN(2))), uid, int32(random.IntN(3)))
}

// serves reports whether a pool gives an address to a Service that does not name it.
func (m poolModel) serves(pool Range, address int, who Requester) bool {
	number := modelAddress(address).Number
	if !pool.Covers(number) || pool.LoadBalancerClass != who.LoadBalancerClass || pool.Services != nil && !pool.Services.Matches(who.Service) {
		return false
	}
	owned := func(other Range) bool { return other.Services != nil && other.Covers(number) }
	return pool.Services != nil || !slices.ContainsFunc(m.pools, owned)
}

// choices returns the addresses that the Service can share, and those that are free for it.
func (m poolModel) choices(who Requester) (shareable, free []int) {
	for i := range modelAddresses {
		claim, claimed := m.claims[i]
		for _, pool := range m.pools {
			if !m.serves(pool, i, who) {
				continue
			}
			if !claimed {
				free = append(free, i)
			} else if m.joins(claim, pool, who.Share) {
				shareable = append(shareable, i)
			}
		}
	}
	return slices.Compact(shareable), slices.Compact(free)
}

func (m poolModel) joins(claim Claim, pool Range, share *Share) bool {
	if share.Key == "" || claim.Shared.SharingKey != share.Key {
		return false
	}
	for _, holder := range claim.Shared.Holders {
		if holder.Ports[0] == share.Ports[0] || holder.Namespace != share.Namespace && !pool.AcrossNamespaces {
			return false
		}
	}
	return true
}

// TestSharedPicks compares picks with a naive model of pools.
func TestSharedPicks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	joined := 0
	for range 20000 {
		m, x := makePoolModel(random)
		who := Requester{
			Service:           labels.Set{"team": string(rune('a' + random.IntN(3)))},
			LoadBalancerClass: []string{"", "", "c"}[random.IntN(3)],
			Share:             &Share{LoadBalancerIPHolder: makeSharer(random, "new"), Key: makeKey(random)},
		}
		shareable, free := m.choices(who)
		got, err := x.Pick(LoadBalancerIPv4, who)
		var full *ExhaustedError
		switch {
		case len(shareable) > 0:
			joined++
			if err != nil || got != modelAddress(shareable[0]) {
				t.Fatalf("%+v\n%+v: got %v, %v; want to share %v", m, who, got, err, shareable)
			}
			if again, _ := x.Shareable(LoadBalancerIPv4, who); again != got {
				t.Fatalf("%+v: %v can be shared, not %v", m, again, got)
			}
		case len(free) > 0:
			if err != nil || !slices.ContainsFunc(free, func(i int) bool { return modelAddress(i) == got }) {
				t.Fatalf("%+v\n%+v: got %v, %v; want one of %v", m, who, got, err, free)
			}
		case !errors.As(err, &full):
			t.Fatalf("%+v\n%+v: got %v, %v; want nothing", m, who, got, err)
		}
	}
	if joined < 1000 {
		t.Errorf("only %d picks are shared", joined)
	}
}

// The keys of claims that change or end are forgotten.
func TestSharingFollowsClaims(t *testing.T) {
	x, _ := newIndex()
	block := Block{Span: space.Span{First: modelAddress(0).Number, Last: modelAddress(0).Number}}
	x.SetRange(LoadBalancerIPv4, usableRange("pool", 1, block))
	asks := func(key string) Requester {
		return Requester{Share: &Share{LoadBalancerIPHolder: sharer("a", "new", 90), Key: key}}
	}
	expect := func(key string, want bool) {
		t.Helper()
		if _, ok := x.Shareable(LoadBalancerIPv4, asks(key)); ok != want {
			t.Errorf("key %q: %v", key, ok)
		}
	}
	x.Observe(modelAddress(0), sharedBy("k", 2, sharer("a", "web", 80)))
	expect("k", true)
	x.Observe(modelAddress(0), sharedBy("l", 3, sharer("a", "web", 80)))
	expect("k", false)
	expect("l", true)
	x.Observe(modelAddress(0), sharedBy("l", 4, sharer("a", "web", 80), sharer("a", "api", 90)))
	expect("l", false)
	x.Absent(modelAddress(0), 5)
	expect("l", false)
	if n := len(x.pools[LoadBalancerIPv4].sharing); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}
