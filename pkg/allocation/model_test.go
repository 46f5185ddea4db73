package allocation

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// life is one claim on a value, from its creation to its deletion, or to its next life: a
// Service takes over a reservation, or leaves one. died is 0 while it exists.
type life struct {
	claim      Claim
	born, died int64
}

// fact is one thing that a replica learns.
type fact struct {
	text  string
	enter func(*Index)
}

// history has the real events of a few ports, one event per revision.
type history struct {
	lives map[int32][]life
	last  int64
}

const modelPorts = 6

func makeHistory(random *rand.Rand, length int) history {
	h := history{lives: map[int32][]life{}}
	for range length {
		h.last++
		port := int32(random.IntN(modelPorts))
		lives := h.lives[port]
		if n := len(lives); n > 0 && lives[n-1].died == 0 {
			lives[n-1].died = h.last
			if random.IntN(3) > 0 {
				continue
			}
		}
		claim := heldBy(types.UID(fmt.Sprintf("uid-%d", h.last)), h.last)
		if random.IntN(2) == 0 {
			claim = reservedFor(modelService(random.IntN(2)), h.last, Terms{})
		}
		h.lives[port] = append(lives, life{claim: claim, born: h.last})
	}
	return h
}

func modelService(n int) types.NamespacedName {
	return types.NamespacedName{Namespace: "default", Name: fmt.Sprint(n)}
}

// at returns the contents of a list at a revision.
func (h history) at(revision int64) map[Value]Claim {
	claims := map[Value]Claim{}
	for port, lives := range h.lives {
		for _, l := range lives {
			if l.born <= revision && (l.died == 0 || l.died > revision) {
				claims[NodePort(port)] = l.claim
			}
		}
	}
	return claims
}

func (h history) bornAt(revision int64) (Value, Claim, bool) {
	for _, born := range []bool{true, false} {
		for port, lives := range h.lives {
			for _, l := range lives {
				if born && l.born == revision || !born && l.died == revision {
					return NodePort(port), l.claim, born
				}
			}
		}
	}
	panic("a revision without event")
}

// watched returns the facts of a watch after a revision, in order.
func (h history) watched(after int64) []fact {
	var facts []fact
	for revision := after + 1; revision <= h.last; revision++ {
		value, claim, born := h.bornAt(revision)
		if born {
			facts = append(facts, fact{fmt.Sprintf("watch: %s claimed at %d", value, revision),
				func(x *Index) {
					x.Observe(value, claim)
					x.ObserveRevision(Port, revision)
				}})
		} else {
			facts = append(facts, fact{fmt.Sprintf("watch: %s deleted at %d", value, revision),
				func(x *Index) { x.Absent(value, revision); x.ObserveRevision(Port, revision) }})
		}
	}
	return facts
}

// hearsay returns a fact from another source than the watch: a commit of this replica, or
// the state that a rejected transaction found. It may be ahead of the watch or behind.
func (h history) hearsay(random *rand.Rand) fact {
	revision := 1 + random.Int64N(h.last)
	if random.IntN(2) == 0 {
		value, claim, born := h.bornAt(revision)
		if born {
			return fact{fmt.Sprintf("own: %s claimed at %d", value, revision),
				func(x *Index) { x.Observe(value, claim) }}
		}
		return fact{fmt.Sprintf("own: %s released at %d", value, revision),
			func(x *Index) { x.Released(value, revision) }}
	}
	value := NodePort(int32(random.IntN(modelPorts)))
	if claim, held := h.at(revision)[value]; held {
		return fact{fmt.Sprintf("found: %s held at %d", value, revision), func(x *Index) { x.Observe(value, claim) }}
	}
	return fact{fmt.Sprintf("found: %s absent at %d", value, revision), func(x *Index) { x.Absent(value, revision) }}
}

// story returns the facts of a watch from a list, which breaks and starts again with other
// lists, mixed with hearsay. It ends when the watch has delivered everything.
func (h history) story(random *rand.Rand) []fact {
	var story []fact
	list := func(revision int64) {
		listed := h.at(revision)
		story = append(story, fact{fmt.Sprintf("list at %d", revision), func(x *Index) { x.Replace(listed, revision, Port) }})
	}
	from := random.Int64N(h.last + 1)
	list(from)
	seen, watched := from, h.watched(from)
	for len(watched) > 0 {
		if seen == h.last {
			story = append(story, watched...)
			break
		}
		switch random.IntN(12) {
		case 0:
			// A list may be older than what the watch delivered before.
			from = random.Int64N(h.last + 1)
			list(from)
			seen, watched = max(seen, from), h.watched(from)
		case 1, 2, 3, 4:
			story = append(story, h.hearsay(random))
		default:
			story = append(story, watched[0])
			watched = watched[1:]
			seen = max(seen, h.last-int64(len(watched)))
		}
	}
	return story
}

func (x *Index) checkModel(h history) error {
	want := h.at(h.last)
	for port := range int32(modelPorts) {
		value := NodePort(port)
		claim, held := x.Lookup(value)
		if wanted, exists := want[value]; held != exists || claim != wanted {
			return fmt.Errorf("%s: %v %v, want %v %v", value, held, claim, exists, wanted)
		}
	}
	for n := range 2 {
		if err := x.checkReserved(modelService(n), want); err != nil {
			return err
		}
	}
	return x.checkCounts()
}

// checkReserved compares the reservations of a Service with a search of all claims.
func (x *Index) checkReserved(service types.NamespacedName, claims map[Value]Claim) error {
	want := map[Value]int64{}
	for value, claim := range claims {
		if reserved, ok := claim.ReservedFor(); ok && reserved == service {
			want[value] = claim.Revision
		}
	}
	got, newest := map[Value]int64{}, int64(math.MaxInt64)
	for _, r := range x.Reserved(Port, service) {
		if r.Revision > newest {
			return fmt.Errorf("%s comes after a reservation of revision %d", r.Value, newest)
		}
		got[r.Value], newest = r.Revision, r.Revision
	}
	if !maps.Equal(got, want) || x.HasReserved(service) != (len(want) > 0) {
		return fmt.Errorf("reserved for %s: %v, want %v", service, got, want)
	}
	return nil
}

// checkCounts compares every counter with a recount, and the values that can't be picked
// with those that are claimed or picked.
func (x *Index) checkCounts() error {
	for class := range x.pools {
		p := &x.pools[class]
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, state := range p.ranges {
			for i, block := range state.Blocks {
				var count uint64
				for number := range p.claims {
					if block.Span.Contains(number) {
						count++
					}
				}
				if state.allocated[i] != count {
					return fmt.Errorf("range %s block %s counts %d, holds %d", state.Name, block.Text, state.allocated[i], count)
				}
			}
		}
		taken := 0
		for number := range p.claims {
			if p.picked[number] != 0 {
				return fmt.Errorf("%v is both claimed and picked", number)
			}
			if !p.space.Taken(number) {
				return fmt.Errorf("%v is claimed and free", number)
			}
			taken++
		}
		for number := range p.picked {
			if !p.space.Taken(number) {
				return fmt.Errorf("%v is picked and free", number)
			}
			taken++
		}
		if p.space.Len() != taken {
			return fmt.Errorf("%d taken, %d claimed or picked", p.space.Len(), taken)
		}
	}
	return nil
}

func checkStory(t *testing.T, seed uint64, length int) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	h := makeHistory(random, 1+length)
	x, c := newIndex()
	x.SetRange(Port, usableRange("all", 1, portBlocks("1-5")...))
	x.SetRange(Port, usableRange("some", 1, portBlocks("2-3", "5")...))
	var entered []string
	for _, f := range h.story(random) {
		entered = append(entered, f.text)
		f.enter(x)
		if err := x.checkCounts(); err != nil {
			t.Fatalf("seed %d: %v\nafter %s", seed, err, strings.Join(entered, "\n      "))
		}
		switch random.IntN(6) {
		case 0:
			if value, err := x.Pick(Port, Requester{}); err == nil {
				defer x.Drop(value)
			}
		case 1:
			if value, err := x.Pick(Port, Requester{}); err == nil {
				x.DropLater(value)
			}
			c.pass(dropDelay / 3)
		case 2:
			x.SetRange(Port, usableRange("some", random.Int64N(50), portBlocks("1", fmt.Sprintf("2-%d", 2+random.IntN(4)))...))
		case 3:
			x.RemoveRange(Port, "some", random.Int64N(50))
		}
	}
	if err := x.checkModel(h); err != nil {
		t.Fatalf("seed %d: %v\nafter %s", seed, err, strings.Join(entered, "\n      "))
	}
}

// In whatever order the facts come, the index is right when the watch has caught up.
func TestFactsConverge(t *testing.T) {
	for seed := range uint64(3000) {
		checkStory(t, seed, int(seed%40))
	}
}

func FuzzFactsConverge(f *testing.F) {
	f.Add(uint64(1), uint8(10))
	f.Add(uint64(2), uint8(200))
	f.Fuzz(func(t *testing.T, seed uint64, length uint8) { checkStory(t, seed, int(length)) })
}

// A request that enters its facts late must not undo events that the watch has delivered
// since: nothing would correct that before the next list.
func TestLateHearsay(t *testing.T) {
	x, _ := newIndex()
	x.Observe(NodePort(1), heldBy("a", 5))
	x.Absent(NodePort(1), 9)
	x.ObserveRevision(Port, 9)
	x.Observe(NodePort(1), heldBy("a", 5))
	checkHolder(t, x, NodePort(1), "")
}

// Facts about one life each, in every order. With tombstones for the values that this
// replica released, no order brings a released claim back.
func TestReleasedStaysReleasedInAnyOrder(t *testing.T) {
	value := NodePort(1)
	facts := []func(*Index){
		func(x *Index) { x.Observe(value, heldBy("a", 5)) },
		func(x *Index) { x.Observe(value, heldBy("a", 7)) },
		func(x *Index) { x.Released(value, 9) },
		func(x *Index) { x.Absent(value, 3) },
	}
	order := []int{0, 1, 2, 3}
	permute(order, func() {
		x, _ := newIndex()
		for _, n := range order {
			facts[n](x)
		}
		if _, held := x.Lookup(value); held {
			t.Errorf("held after the order %v", order)
		}
	})
}

func permute(order []int, visit func()) {
	if len(order) == 0 {
		visit()
		return
	}
	var place func(n int)
	place = func(n int) {
		if n == len(order) {
			visit()
			return
		}
		for i := n; i < len(order); i++ {
			order[n], order[i] = order[i], order[n]
			place(n + 1)
			order[n], order[i] = order[i], order[n]
		}
	}
	place(0)
}

// The ranges end up the same in whatever order the facts about them come.
func TestRangeNewsConverge(t *testing.T) {
	news := []func(*Index){
		func(x *Index) { x.SetRange(Port, usableRange("r", 2, portBlocks("1-2")...)) },
		func(x *Index) { x.SetRange(Port, usableRange("r", 4, portBlocks("1-3")...)) },
		func(x *Index) { x.SetRange(Port, usableRange("r", 8, portBlocks("1-4")...)) },
		func(x *Index) { x.SetRange(Port, usableRange("s", 3, portBlocks("2-5")...)) },
		func(x *Index) { x.Observe(NodePort(2), heldBy("a", 5)) },
	}
	order := []int{0, 1, 2, 3, 4}
	permute(order, func() {
		x, _ := newIndex()
		for _, n := range order {
			news[n](x)
		}
		if err := x.checkCounts(); err != nil {
			t.Errorf("order %v: %v", order, err)
		}
		if got, want := fmt.Sprint(x.Usage(Port, "r"), x.Usage(Port, "s")), "[{1-4 4 1 3}] [{2-5 4 1 3}]"; got != want {
			t.Errorf("order %v: %s, want %s", order, got, want)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	x, c := newIndex()
	x.SetRange(Port, usableRange("all", 1, portBlocks("1-200")...))
	var (
		mu    sync.Mutex
		inUse = map[Value]bool{}
		group sync.WaitGroup
	)
	for worker := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			revision := int64(10)
			for range 400 {
				value, err := x.Pick(Port, Requester{})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if inUse[value] {
					t.Errorf("%s was picked twice at a time", value)
				}
				inUse[value] = true
				mu.Unlock()

				revision += 100
				claimed := random.IntN(2) == 0
				if claimed {
					x.Observe(value, heldBy("a", revision))
				}
				_, _ = x.Covering(value, Requester{})
				x.Usage(Port, "all")
				x.UsableRanges(Port)
				x.Ranges(Port)
				x.SetRange(Port, usableRange("all", revision, portBlocks("1-200")...))

				mu.Lock()
				delete(inUse, value)
				mu.Unlock()
				if claimed {
					x.Released(value, revision+1)
					x.Absent(value, revision+1)
				} else {
					x.Drop(value)
				}
				c.pass(time.Millisecond)
			}
		})
	}
	group.Wait()
	if err := x.checkCounts(); err != nil {
		t.Error(err)
	}
}

// Picks find every free number at any fill, and none twice.
func TestPicksEverythingOnce(t *testing.T) {
	x, _ := newIndex()
	x.SetRange(IPv4, usableRange("r", 1, prefixBlock("10.0.0.0/24")))
	var picked []string
	for range 254 {
		picked = append(picked, mustPick(t, x, IPv4).String())
	}
	// The static band, .1 to .16, comes last.
	for _, early := range picked[:254-16] {
		if slices.Contains([]string{"10.0.0.1", "10.0.0.16"}, early) {
			t.Errorf("%s was picked before the upper part was full", early)
		}
	}
	slices.Sort(picked)
	if n := len(slices.Compact(picked)); n != 254 {
		t.Errorf("%d addresses", n)
	}
	checkFull(t, x, IPv4, "range is full: r (10.0.0.0/24) holds 0 of 254; requests in progress have picked 254")
}
