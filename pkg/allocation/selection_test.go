package allocation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

var (
	teamA = labels.SelectorFromSet(labels.Set{"team": "a"})
	teamB = labels.SelectorFromSet(labels.Set{"team": "b"})
	ofA   = Requester{Namespace: labels.Set{"team": "a"}}
	ofB   = Requester{Namespace: labels.Set{"team": "b"}}
)

func rangeWith(name string, policy Policy, ports ...string) Range {
	r := usableRange(name, 1, portBlocks(ports...)...)
	r.Policy = policy
	return r
}

func indexOf(ranges ...Range) *Index {
	x, _ := newIndex()
	for _, r := range ranges {
		x.SetRange(Port, r)
	}
	return x
}

// picks picks until nothing is free, and returns the ports in order and the last error.
func picks(x *Index, who Requester) (ports []int32, err error) {
	for {
		value, err := x.Pick(Port, who)
		if err != nil {
			return ports, err
		}
		ports = append(ports, value.Number.Port())
	}
}

func checkPicks(t *testing.T, x *Index, who Requester, wantErr string, want ...[]int32) {
	t.Helper()
	got, err := picks(x, who)
	for _, group := range want {
		if len(got) < len(group) {
			t.Errorf("picked %v less than %v", got, group)
			return
		}
		picked := slices.Sorted(slices.Values(got[:len(group)]))
		if !slices.Equal(picked, group) {
			t.Errorf("picked %v, want %v", picked, group)
		}
		got = got[len(group):]
	}
	if len(got) > 0 {
		t.Errorf("also picked %v", got)
	}
	if err.Error() != wantErr {
		t.Errorf("got %q\nwant %q", err, wantErr)
	}
}

func TestSelectionOrder(t *testing.T) {
	t.Parallel()
	ranges := func() *Index {
		return indexOf(
			rangeWith("shared", Policy{Priority: 9}, "1-2"), rangeWith("rest", Policy{}, "3"),
			rangeWith("a", Policy{Namespaces: teamA}, "10-11"), rangeWith("a-first", Policy{Namespaces: teamA, Priority: 1}, "12"),
			rangeWith("b", Policy{Namespaces: teamB, FailWhenFull: true}, "20"),
			rangeWith("request", Policy{Mode: OnRequest}, "30"), rangeWith("draining", Policy{Mode: Disabled}, "40"),
		)
	}
	checkPicks(t, ranges(), ofA, "range is full: a-first (12) holds 0 of 1; a (10-11) holds 0 of 2; shared (1-2) holds 0 of 2; "+
		"rest (3) holds 0 of 1; requests in progress have picked 6; draining is disabled; request serves only Services that name it; "+
		"1 other range does not select the Service",
		[]int32{12}, []int32{10, 11}, []int32{1, 2}, []int32{3})
	checkPicks(t, ranges(), ofB, "range is full: b (20) holds 0 of 1; requests in progress have picked 1; "+
		"shared comes after a range that fails when it is full; draining is disabled; request serves only Services that name it; rest comes after a range that fails when it is full; "+
		"2 other ranges do not select the Service", []int32{20})
	checkPicks(t, ranges(), Requester{Range: "request"}, "range is full: request (30) holds 0 of 1; "+
		"requests in progress have picked 1", []int32{30})
	checkPicks(t, ranges(), Requester{Range: "draining"}, "no range has a value for the Service: draining is disabled")
	checkPicks(t, ranges(), Requester{Range: "a"}, "no range has a value for the Service: a does not select the Service")
	checkPicks(t, ranges(), Requester{Range: "gone"}, "no range has a value for the Service: gone does not exist")
}

// TestOwnedValues has a range of a team within one that is for all.
func TestOwnedValues(t *testing.T) {
	t.Parallel()
	x := indexOf(rangeWith("all", Policy{}, "1-6"), rangeWith("a", Policy{Namespaces: teamA, FailWhenFull: true}, "3-4"))
	for _, test := range []struct {
		port int32
		who  Requester
		want string
	}{
		{2, ofA, ""},
		{3, ofA, ""},
		{2, ofB, ""},
		{3, ofB, `the range "a" does not select the Service`},
		{2, Requester{Namespace: ofA.Namespace, Range: "a"}, `the range "all" is not the one that the Service names`},
		{3, Requester{Namespace: ofA.Namespace, Range: "all"}, `the range "a" is not the one that the Service names`},
		{7, ofA, ErrOutside.Error()},
	} {
		_, err := x.Covering(NodePort(test.port), test.who)
		if got := fmt.Sprint(err); err != nil && got != test.want || err == nil && test.want != "" {
			t.Errorf("%d: got %v, want %s", test.port, err, test.want)
		}
	}
	checkPicks(t, x, ofB, "range is full: all (1-6) holds 0 of 6; requests in progress have picked 4; a does not select the Service", []int32{1, 2, 5, 6})
	checkPicks(t, x, ofA, "range is full: a (3-4) holds 0 of 2; requests in progress have picked 2; "+
		"all comes after a range that fails when it is full", []int32{3, 4})
}

// TestNamedRangeOfOtherClass names a range that has only ports, and asks for an address.
func TestNamedRangeOfOtherClass(t *testing.T) {
	t.Parallel()
	x := indexOf()
	x.SetRange(IPv4, usableRange("v4", 1, prefixBlock("10.0.0.0/30")))
	x.SetRange(IPv4, Range{Name: "v6", Revision: 2})
	x.SetRange(IPv6, usableRange("v6", 2, prefixBlock("fd00::/126")))
	for class, want := range map[Class]string{IPv4: "10.0.0.", IPv6: "fd00::"} {
		value, err := x.Pick(class, Requester{Range: "v6"})
		if err != nil || value.String()[:len(want)] != want {
			t.Errorf("picked %v, %v", value, err)
		}
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
	cidr := CIDRPolicy(&v1.ServiceCIDRSpec{
		NamespaceSelector: selector, Priority: ptr.To[int32](3), Allocation: ptr.To(v1.AllocationOnRequest), WhenFull: ptr.To(v1.WhenFullFail),
	})
	if !cidr.Selects(ofA) || cidr.Selects(ofB) || cidr.Services != nil || cidr.Priority != 3 || cidr.Mode != OnRequest || !cidr.FailWhenFull {
		t.Errorf("got %+v", cidr)
	}
	unreadable := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Later"}}}
	if policy := PortPolicy(&v1.NodePortRangeSpec{ServiceSelector: unreadable}); policy.Selects(ofA) || policy.Mode != Automatic {
		t.Errorf("got %+v", policy)
	}
	for want, spec := range map[Mode]v1.NodePortRangeSpec{
		Automatic: {AutoAssign: ptr.To(true)},
		OnRequest: {AutoAssign: ptr.To(false)},
		Disabled:  {AutoAssign: ptr.To(true), Allocation: ptr.To[v1.RangeAllocation]("Later")},
	} {
		if policy := PortPolicy(&spec); policy.Mode != want || policy.IsOwned() {
			t.Errorf("got %+v of %+v", policy, spec)
		}
	}
}

// world is a set of ranges of the ports 1 to worldPorts, some of which are claimed.
type world struct {
	ranges []Range
	taken  map[int32]bool
}

const worldPorts = 16

func makeWorld(random *rand.Rand) world {
	w := world{taken: map[int32]bool{}}
	selectors := []labels.Selector{nil, nil, teamA, teamB, labels.Everything(), labels.Nothing()}
	for i := range 1 + random.IntN(5) {
		first := 1 + random.Int32N(worldPorts-2)
		r := rangeWith(fmt.Sprintf("r%d", i), Policy{
			Namespaces: selectors[random.IntN(len(selectors))], Services: selectors[random.IntN(len(selectors))],
			Priority: random.Int32N(2), Mode: []Mode{Automatic, Automatic, OnRequest, Disabled}[random.IntN(4)], FailWhenFull: random.IntN(3) == 0,
		}, fmt.Sprintf("%d-%d", first, min(worldPorts, first+random.Int32N(4))))
		r.Usable = random.IntN(8) > 0
		if random.IntN(10) == 0 {
			r.Blocks = nil
			r.Usable = false
		}
		w.ranges = append(w.ranges, r)
	}
	density := random.IntN(4)
	for port := int32(1); port <= worldPorts; port++ {
		w.taken[port] = random.IntN(4) < density
	}
	return w
}

func makeRequester(random *rand.Rand) Requester {
	teams := []labels.Set{nil, {"team": "a"}, {"team": "b"}}
	who := Requester{Namespace: teams[random.IntN(3)], Service: teams[random.IntN(3)]}
	if random.IntN(3) == 0 {
		who.Range = fmt.Sprintf("r%d", random.IntN(6))
	}
	return who
}

func (w world) having(port int32) (usable, owned []Range) {
	for _, r := range w.ranges {
		if r.Usable && r.Covers(NodePort(port).Number) {
			usable = append(usable, r)
			if r.Namespaces != nil || r.Services != nil {
				owned = append(owned, r)
			}
		}
	}
	return usable, owned
}

// names reports whether the Service's annotation decides, and whether it names a range.
func (w world) names(who Requester, r Range) (decides, named bool) {
	decides = who.Range != ""
	for _, other := range w.ranges {
		if other.Name == who.Range && len(other.Blocks) == 0 {
			decides = false
		}
	}
	return decides, decides && who.Range == r.Name
}

// mayHave reports whether the Service may have a port of a range: by name, or by a pick.
func (w world) mayHave(who Requester, r Range, byPick bool) bool {
	decides, named := w.names(who, r)
	switch {
	case r.Namespaces != nil && !r.Namespaces.Matches(who.Namespace), r.Services != nil && !r.Services.Matches(who.Service):
		return false
	case decides && !named, r.Mode == Disabled:
		return false
	}
	return !byPick || named || r.Mode == Automatic
}

// giver returns the ranges that could give a port to the Service.
func (w world) givers(who Requester, port int32, byPick bool) []Range {
	usable, owned := w.having(port)
	if len(owned) > 0 {
		usable = owned
	}
	return slices.DeleteFunc(usable, func(r Range) bool { return !w.mayHave(who, r, byPick) })
}

// rank orders ranges: a lower one serves first.
func rank(r Range) int {
	place := -int(r.Priority)
	if r.Namespaces == nil && r.Services == nil {
		place += 100
	}
	return place
}

// pickable returns the ports that a pick may return.
func (w world) pickable(who Requester) []int32 {
	best := 1000
	for _, r := range w.ranges {
		if r.Usable && len(r.Blocks) > 0 && r.FailWhenFull && w.mayHave(who, r, true) {
			best = min(best, rank(r))
		}
	}
	var ports []int32
	for port := int32(1); port <= worldPorts; port++ {
		for _, r := range w.givers(who, port, true) {
			if w.taken[port] || rank(r) > best {
				continue
			}
			if rank(r) < best {
				best, ports = rank(r), nil
			}
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// TestSelectionModel compares picks and covering ranges with a model that looks at every
// port of every range.
func TestSelectionModel(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(14, 1))
	picked := 0
	for range 20_000 {
		w := makeWorld(random)
		x := indexOf(w.ranges...)
		for port, taken := range w.taken {
			if taken {
				x.Observe(NodePort(port), heldBy("x", 1))
			}
		}
		who := makeRequester(random)
		for port := int32(1); port <= worldPorts; port++ {
			covering, err := x.Covering(NodePort(port), who)
			givers := w.givers(who, port, false)
			known := func(r Range) bool { return r.Name == covering.Name }
			if len(givers) == 0 != (err != nil) || err == nil && !slices.ContainsFunc(givers, known) {
				t.Fatalf("%+v: %d is covered by %q, %v; want %v\n%+v", who, port, covering.Name, err, givers, w)
			}
			if usable, _ := w.having(port); len(usable) == 0 != errors.Is(err, ErrOutside) {
				t.Fatalf("%+v: %d: got %v\n%+v", who, port, err, w)
			}
		}
		want := w.pickable(who)
		value, err := x.Pick(Port, who)
		if len(want) == 0 != (err != nil) || err == nil && !slices.Contains(want, value.Number.Port()) {
			t.Fatalf("%+v: picked %v, %v; want one of %v\n%+v", who, value, err, want, w)
		}
		if err == nil {
			picked++
			if _, err := x.Covering(value, who); err != nil {
				t.Fatalf("%+v: picked %v: %v\n%+v", who, value, err, w)
			}
		}
	}
	if picked < 2000 {
		t.Errorf("only %d picks", picked)
	}
}

func BenchmarkPick(b *testing.B) {
	for _, count := range []int{1, 100} {
		b.Run(fmt.Sprintf("ranges=%d", count), func(b *testing.B) {
			x := indexOf(rangeWith("all", Policy{}, "30000-32767"))
			for i := range count - 1 {
				x.SetRange(Port, rangeWith(fmt.Sprintf("team-%d", i), Policy{
					Namespaces: labels.SelectorFromSet(labels.Set{"team": fmt.Sprintf("team-%d", i)}),
				}, fmt.Sprintf("%d-%d", 1000+10*i, 1009+10*i)))
			}
			who := Requester{Namespace: labels.Set{"team": "none", "kubernetes.io/metadata.name": "apps"}}
			for b.Loop() {
				value, err := x.Pick(Port, who)
				if err != nil {
					b.Fatal(err)
				}
				x.Drop(value)
			}
		})
	}
}
