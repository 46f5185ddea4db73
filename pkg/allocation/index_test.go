package allocation

import (
	"errors"
	"math"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newIndex() (*Index, *clock) {
	c := &clock{now: time.Unix(1e9, 0)}
	return New(c.Now), c
}

func address(text string) Value { return Address(netip.MustParseAddr(text)) }

func prefixBlock(text string) Block {
	return Block{Text: text, Span: space.PrefixSpan(netip.MustParsePrefix(text))}
}

func portBlocks(texts ...string) []Block {
	spans, err := space.PortSpans(texts, nil)
	if err != nil {
		panic(err)
	}
	blocks := make([]Block, len(spans))
	for i := range spans {
		blocks[i] = Block{Text: texts[i], Span: spans[i]}
	}
	return blocks
}

func usableRange(name string, revision int64, blocks ...Block) Range {
	return Range{Name: name, Revision: revision, Blocks: blocks, Usable: true}
}

func heldBy(uid types.UID, revision int64) Claim {
	return Claim{Holder: v1.ParentReference{UID: uid}, Revision: revision}
}

func checkHolder(t *testing.T, x *Index, value Value, want string) {
	t.Helper()
	claim, held := x.Lookup(value)
	if held != (want != "") || string(claim.Holder.UID) != want {
		t.Errorf("%s is held by %q (%v), want %q", value, claim.Holder.UID, held, want)
	}
}

// isFree reports whether a pick can return the value.
func isFree(x *Index, value Value) bool {
	p := &x.pools[value.Class]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropDue(x.now())
	return !p.space.Taken(value.Number)
}

func mustPick(t *testing.T, x *Index, class Class) Value {
	t.Helper()
	value, err := x.Pick(class, Requester{})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func checkFull(t *testing.T, x *Index, class Class, want string) {
	t.Helper()
	value, err := x.Pick(class, Requester{})
	var full *ExhaustedError
	if !errors.As(err, &full) || full.Class != class {
		t.Fatalf("picked %v, %v", value, err)
	}
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestClassesAndNames(t *testing.T) {
	for _, test := range []struct {
		value Value
		class Class
		name  string
	}{
		{address("10.0.0.1"), IPv4, "10.0.0.1"},
		{address("::ffff:10.0.0.1"), IPv4, "10.0.0.1"},
		{address("2001:DB8:0::1"), IPv6, "2001:db8::1"},
		{address("::"), IPv6, "::"},
		{NodePort(30080), Port, "30080"},
	} {
		if test.value.Class != test.class || test.value.String() != test.name {
			t.Errorf("got %s %s, want %s %s", test.value.Class, test.value, test.class, test.name)
		}
	}
	if got := IPv4.String() + IPv6.String() + Port.String(); got != "IPv4IPv6Port" {
		t.Errorf("got %s", got)
	}
	if address("10.0.0.1") != address("::ffff:10.0.0.1") {
		t.Error("two spellings are two values")
	}
}

func TestOlderNeverReplacesNewer(t *testing.T) {
	value := NodePort(30080)
	observe := func(uid types.UID, revision int64) func(*Index) {
		return func(x *Index) { x.Observe(value, heldBy(uid, revision)) }
	}
	absent := func(revision int64) func(*Index) { return func(x *Index) { x.Absent(value, revision) } }
	released := func(revision int64) func(*Index) { return func(x *Index) { x.Released(value, revision) } }
	listed := func(revision int64, claims map[Value]Claim) func(*Index) {
		return func(x *Index) { x.Replace(claims, revision, Port) }
	}
	held := func(uid types.UID, revision int64) map[Value]Claim {
		return map[Value]Claim{value: heldBy(uid, revision)}
	}
	for name, test := range map[string]struct {
		facts []func(*Index)
		want  string
	}{
		"observed":                         {[]func(*Index){observe("a", 5)}, "a"},
		"newer claim":                      {[]func(*Index){observe("a", 5), observe("b", 7)}, "b"},
		"older claim":                      {[]func(*Index){observe("b", 7), observe("a", 5)}, "b"},
		"same claim again":                 {[]func(*Index){observe("a", 5), observe("a", 5)}, "a"},
		"absent later":                     {[]func(*Index){observe("a", 5), absent(6)}, ""},
		"deleted at the revision it is at": {[]func(*Index){observe("a", 5), absent(5)}, ""},
		"absent before":                    {[]func(*Index){observe("a", 5), absent(4)}, "a"},
		"claimed after absent":             {[]func(*Index){absent(4), observe("a", 5)}, "a"},
		"released":                         {[]func(*Index){observe("a", 5), released(9)}, ""},
		"released, then late news of the life": {
			[]func(*Index){observe("a", 5), released(9), observe("a", 5), observe("a", 8)}, "",
		},
		"released, then news at the release":         {[]func(*Index){observe("a", 5), released(9), observe("a", 9)}, ""},
		"released, then claimed by another":          {[]func(*Index){observe("a", 5), released(9), observe("b", 12)}, "b"},
		"claimed by another before release is known": {[]func(*Index){observe("a", 5), observe("b", 12), released(9)}, "b"},
		"... and late news after that": {
			[]func(*Index){observe("a", 5), observe("b", 12), released(9), observe("a", 5)}, "b",
		},
		"watch confirms release, then another life": {
			[]func(*Index){observe("a", 5), released(9), absent(9), observe("b", 10)}, "b",
		},
		"watch confirms an earlier life's end": {[]func(*Index){released(9), absent(6), observe("a", 8)}, ""},
		"released twice, the older last":       {[]func(*Index){released(20), released(9), observe("a", 15)}, ""},
		"list without it":                      {[]func(*Index){observe("a", 5), listed(6, nil)}, ""},
		"older list without it":                {[]func(*Index){observe("a", 5), listed(4, nil)}, "a"},
		"list with it":                         {[]func(*Index){listed(6, held("a", 5))}, "a"},
		"list with an older one":               {[]func(*Index){observe("b", 9), listed(6, held("a", 5))}, "b"},
		"list with a newer one":                {[]func(*Index){observe("a", 5), listed(9, held("b", 8))}, "b"},
		"list from before the release":         {[]func(*Index){observe("a", 5), released(9), listed(7, held("a", 5))}, ""},
		"list from before the release, then the watch": {
			[]func(*Index){observe("a", 5), released(9), listed(7, held("a", 5)), observe("a", 8)}, "",
		},
		"list from after the release":                    {[]func(*Index){observe("a", 5), released(9), listed(9, nil)}, ""},
		"list from after the release with the next life": {[]func(*Index){observe("a", 5), released(9), listed(14, held("b", 12))}, "b"},
		"list of another class says nothing": {
			[]func(*Index){observe("a", 5), func(x *Index) { x.Replace(nil, 9, IPv4, IPv6) }}, "a",
		},
		"a list that names another class's value changes it not": {[]func(*Index){func(x *Index) { x.Replace(held("a", 5), 9, IPv4) }}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x, _ := newIndex()
			for _, fact := range test.facts {
				fact(x)
			}
			checkHolder(t, x, value, test.want)
			if free := isFree(x, value); free != (test.want == "") {
				t.Errorf("free: %v", free)
			}
		})
	}
}

func TestPickIsKeptUntilDropped(t *testing.T) {
	x, _ := newIndex()
	x.SetRange(Port, usableRange("r", 1, portBlocks("30000")...))
	value := mustPick(t, x, Port)
	const full = "range is full: r (30000) holds 0 of 1; requests in progress have picked 1"
	checkFull(t, x, Port, full)
	checkHolder(t, x, value, "")
	x.Drop(value)
	if again := mustPick(t, x, Port); again != value {
		t.Errorf("picked %s", again)
	}
	x.Drop(value)
	x.Drop(value)
	if !isFree(x, value) {
		t.Error("not free")
	}
}

func TestDropNeverFreesClaim(t *testing.T) {
	x, _ := newIndex()
	x.SetRange(Port, usableRange("r", 1, portBlocks("30000")...))
	value := mustPick(t, x, Port)
	x.Observe(value, heldBy("a", 5))
	x.Drop(value)
	x.Drop(NodePort(30001))
	checkHolder(t, x, value, "a")
	checkFull(t, x, Port, "range is full: r (30000) holds 1 of 1")
}

// A pick stays when events of an earlier claim of the value arrive.
func TestPickOutlivesOldNews(t *testing.T) {
	x, _ := newIndex()
	x.SetRange(Port, usableRange("r", 1, portBlocks("30000")...))
	x.Observe(NodePort(30000), heldBy("a", 5))
	x.Released(NodePort(30000), 9)
	value := mustPick(t, x, Port)
	x.Observe(value, heldBy("a", 5))
	x.Absent(value, 9)
	x.Replace(nil, 12, Port)
	checkFull(t, x, Port, "range is full: r (30000) holds 0 of 1; requests in progress have picked 1")
	x.Drop(value)
	mustPick(t, x, Port)
}

func TestDropLaterDropsAfterAMinute(t *testing.T) {
	x, c := newIndex()
	x.SetRange(Port, usableRange("r", 1, portBlocks("30000")...))
	value := mustPick(t, x, Port)
	x.DropLater(value)
	for range 2 {
		checkFull(t, x, Port, "range is full: r (30000) holds 0 of 1; requests in progress have picked 1")
		c.pass(30 * time.Second)
	}
	c.pass(time.Nanosecond)
	if again := mustPick(t, x, Port); again != value {
		t.Errorf("picked %s", again)
	}
}

func TestDropLaterYieldsToClaim(t *testing.T) {
	x, c := newIndex()
	x.SetRange(Port, usableRange("r", 1, portBlocks("30000")...))
	value := mustPick(t, x, Port)
	x.DropLater(value)
	x.Observe(value, heldBy("a", 5))
	c.pass(2 * dropDelay)
	checkFull(t, x, Port, "range is full: r (30000) holds 1 of 1")
	checkHolder(t, x, value, "a")
	x.Absent(value, 6)
	mustPick(t, x, Port)
}

// A delayed drop is about one pick. If that was claimed and released, and the value is picked for
// another request, the drop does not affect the new pick.
func TestDropLaterKeepsLaterPick(t *testing.T) {
	x, c := newIndex()
	x.SetRange(Port, usableRange("r", 1, portBlocks("30000")...))
	value := mustPick(t, x, Port)
	x.DropLater(value)
	x.Observe(value, heldBy("a", 5))
	x.Absent(value, 6)
	c.pass(dropDelay - time.Second)
	mustPick(t, x, Port)
	c.pass(2 * time.Second)
	checkFull(t, x, Port, "range is full: r (30000) holds 0 of 1; requests in progress have picked 1")
}

func TestDropLaterOfWhatIsNotPicked(t *testing.T) {
	x, c := newIndex()
	x.DropLater(NodePort(30000))
	x.Observe(NodePort(30001), heldBy("a", 5))
	x.DropLater(NodePort(30001))
	c.pass(2 * dropDelay)
	if !isFree(x, NodePort(30000)) || isFree(x, NodePort(30001)) {
		t.Error("a drop of nothing changed something")
	}
}

func TestRangesByRevision(t *testing.T) {
	x, _ := newIndex()
	names := func() (names []string) {
		for _, r := range x.Ranges(Port) {
			names = append(names, r.Name)
		}
		return names
	}
	x.SetRange(Port, usableRange("b", 5, portBlocks("30000-30009")...))
	x.SetRange(Port, usableRange("a", 6, portBlocks("31000-31009")...))
	if got := names(); !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Errorf("ranges %v", got)
	}
	x.SetRange(Port, usableRange("b", 4, portBlocks("32000-32009")...))
	if r, err := x.Covering(NodePort(30005), Requester{}); err != nil || r.Revision != 5 {
		t.Errorf("older news replaced newer: %d, %v", r.Revision, err)
	}
	x.RemoveRange(Port, "b", 4)
	if _, err := x.Covering(NodePort(30005), Requester{}); err != nil {
		t.Error("older removal removed")
	}
	x.RemoveRange(Port, "b", 9)
	if _, err := x.Covering(NodePort(30005), Requester{}); !errors.Is(err, ErrOutside) || len(names()) != 1 {
		t.Error("still there")
	}
	if usage := x.Usage(Port, "b"); len(usage) > 0 {
		t.Errorf("usage of a range that is gone: %v", usage)
	}
	x.SetRange(Port, usableRange("b", 8, portBlocks("30000-30009")...))
	x.SetRange(Port, usableRange("b", 9, portBlocks("30000-30009")...))
	if len(names()) != 1 {
		t.Error("older news brought it back")
	}
	x.SetRange(Port, usableRange("b", 10, portBlocks("30000-30009")...))
	if r, err := x.Covering(NodePort(30005), Requester{}); err != nil || r.Revision != 10 || r.Name != "b" {
		t.Errorf("not there again: %s %d %v", r.Name, r.Revision, err)
	}
	x.RemoveRange(Port, "unknown", 20)
	if len(names()) != 2 || len(x.Ranges(IPv4)) != 0 {
		t.Errorf("ranges %v", names())
	}
}

func TestOverlappingRanges(t *testing.T) {
	x, _ := newIndex()
	x.SetRange(IPv4, usableRange("wide", 5, prefixBlock("10.0.0.0/24")))
	x.SetRange(IPv4, usableRange("narrow", 6, prefixBlock("10.0.0.0/28")))
	for _, text := range []string{"10.0.0.3", "10.0.0.77"} {
		x.Observe(address(text), heldBy(types.UID(text), 7))
	}
	if r, _ := x.Covering(address("10.0.0.3"), Requester{}); r.Name != "narrow" {
		t.Errorf("covered by %q", r.Name)
	}
	if r, _ := x.Covering(address("10.0.0.15"), Requester{}); r.Name != "wide" {
		t.Errorf("the broadcast address of the narrow one is covered by %q", r.Name)
	}
	if _, err := x.Covering(address("10.0.0.255"), Requester{}); !errors.Is(err, ErrOutside) {
		t.Error("a broadcast address is covered")
	}
	for text, want := range map[string]string{"10.0.0.3": "10.0.0.0/28", "10.0.0.15": "10.0.0.0/24", "10.0.0.255": "", "fd00::1": ""} {
		if got := x.BlockOf(address(text)); got != want {
			t.Errorf("%s lies in %q, want %q", text, got, want)
		}
	}
	if got, want := x.Usage(IPv4, "wide"), []BlockUsage{{"10.0.0.0/24", 254, 2, 252}}; !reflect.DeepEqual(got, want) {
		t.Errorf("wide: %v, want %v", got, want)
	}
	if got, want := x.Usage(IPv4, "narrow"), []BlockUsage{{"10.0.0.0/28", 14, 1, 13}}; !reflect.DeepEqual(got, want) {
		t.Errorf("narrow: %v, want %v", got, want)
	}
	unusable := usableRange("narrow", 8, prefixBlock("10.0.0.0/28"))
	unusable.Usable = false
	x.SetRange(IPv4, unusable)
	if r, _ := x.Covering(address("10.0.0.3"), Requester{}); r.Name != "wide" {
		t.Errorf("covered by %q", r.Name)
	}
	if got := x.BlockOf(address("10.0.0.3")); got != "10.0.0.0/24" {
		t.Errorf("lies in %q", got)
	}
	if got := len(x.UsableRanges(IPv4)); got != 1 {
		t.Errorf("%d usable blocks", got)
	}
}

func TestPicksComeFromAutomaticRanges(t *testing.T) {
	x, _ := newIndex()
	manual := usableRange("manual", 1, portBlocks("80")...)
	manual.Mode = OnRequest
	leaving := usableRange("leaving", 2, portBlocks("81")...)
	leaving.Usable = false
	x.SetRange(Port, manual)
	x.SetRange(Port, leaving)
	checkFull(t, x, Port, "there is no range to pick an automatic value (Port) from")
	x.SetRange(Port, usableRange("c", 3, portBlocks("90-91", "95")...))
	for range 3 {
		if port := mustPick(t, x, Port).Number.Port(); port < 90 {
			t.Errorf("picked %d", port)
		}
	}
	x.Observe(NodePort(95), heldBy("a", 9))
	x.SetRange(Port, usableRange("d", 4, portBlocks("95")...))
	checkFull(t, x, Port, "range is full: c (90-91) holds 0 of 2; c (95) holds 1 of 1; d (95) holds 1 of 1; requests in progress have picked 2")
	checkFull(t, x, IPv6, "there is no range to pick an automatic value (IPv6) from")
}

func TestUsageOfHugeRange(t *testing.T) {
	x, _ := newIndex()
	x.SetRange(IPv6, usableRange("r", 1, prefixBlock("fd00::/8")))
	value := mustPick(t, x, IPv6)
	x.Observe(value, heldBy("a", 2))
	want := []BlockUsage{{"fd00::/8", math.MaxUint64, 1, math.MaxUint64 - 1}}
	if got := x.Usage(IPv6, "r"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// All claims of a Service have one revision, and the watch delivers them one by one.
func TestClaimsOfOneRevision(t *testing.T) {
	x, _ := newIndex()
	for port := range int32(3) {
		x.Observe(NodePort(port), heldBy("a", 5))
		x.ObserveRevision(Port, 5)
	}
	for port := range int32(3) {
		checkHolder(t, x, NodePort(port), "a")
	}
}

func TestRevision(t *testing.T) {
	x, _ := newIndex()
	x.Replace(nil, 5, IPv4, IPv6)
	x.ObserveRevision(IPv4, 9)
	x.ObserveRevision(IPv4, 7)
	for class, want := range map[Class]int64{IPv4: 9, IPv6: 5, Port: 0} {
		if got := x.Revision(class); got != want {
			t.Errorf("%s: %d, want %d", class, got, want)
		}
	}
}

// TestShrink deletes most claims, one by one and with a list. The rest stay, and the
// memory does not.
func TestShrink(t *testing.T) {
	const all, left = 2 * minShrink, 7
	rest := map[Value]Claim{}
	for number := range int32(left) {
		rest[NodePort(number)] = heldBy("uid", int64(number)+1)
	}
	for name, remove := range map[string]func(*Index){
		"one by one": func(index *Index) {
			for number := range int32(all - left) {
				index.Absent(NodePort(left+number), all+1)
			}
		},
		"a list": func(index *Index) { index.Replace(rest, all+1, Port) },
	} {
		index, _ := newIndex()
		index.SetRange(Port, usableRange("all", 1, portBlocks("1-65535")...))
		for number := range int32(all) {
			index.Observe(NodePort(number), heldBy("uid", int64(number)+1))
		}
		remove(index)
		p := &index.pools[Port]
		if len(p.claims) != left || p.most >= minShrink {
			t.Errorf("%s: %d claims are left, in a map for %d", name, len(p.claims), p.most)
		}
		for number := range int32(all) {
			if claim, exists := index.Lookup(NodePort(number)); exists != (number < left) || exists && claim != rest[NodePort(number)] {
				t.Fatalf("%s: node port %d has the claim %v", name, number, claim)
			}
		}
	}
}
