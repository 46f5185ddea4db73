package permits

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// store is what etcd has of one limit: the permits that are taken, and how many claimed values
// have none.
type store struct {
	limit       int
	taken       map[Number]bool
	unpermitted int
}

func (s *store) used() int { return len(s.taken) + s.unpermitted }

func (s *store) load(set *Set) { set.Load(slices.Collect(maps.Keys(s.taken)), s.unpermitted) }

// take is the transaction that claims values with permits.
func (s *store) take(numbers []Number) bool {
	for _, n := range numbers {
		if s.taken[n] {
			return false
		}
	}
	for _, n := range numbers {
		s.taken[n] = true
	}
	return true
}

// A claim succeeds if and only if it leaves the use within the limit, with replicas that know
// old states, with values without permits and after the limit was lowered.
func TestAgainstStore(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := &store{limit: random.IntN(8), taken: map[Number]bool{}, unpermitted: random.IntN(5)}
		for range random.IntN(6) {
			s.taken[Number(random.IntN(12))] = true
		}
		replicas := newReplicas(s.limit)
		for range 200 {
			if err := step(s, replicas, random); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if random.IntN(40) == 0 {
				// A changed limit makes every replica begin anew.
				s.limit = random.IntN(8)
				replicas = newReplicas(s.limit)
			}
		}
	}
}

func newReplicas(limit int) []*Set {
	return []*Set{New(int64(limit)), New(int64(limit)), New(int64(limit))}
}

func step(s *store, replicas []*Set, random *rand.Rand) error {
	set := replicas[random.IntN(len(replicas))]
	switch random.IntN(4) {
	case 0:
		return release(s, set, random)
	case 1:
		if s.unpermitted > 0 {
			// A value takes the place of one without a permit, or that one is released.
			s.unpermitted--
			if random.IntN(2) == 0 {
				s.taken[set.InPlace()] = true
			}
		}
		return nil
	}
	wanted, loaded := 1+random.IntN(2), false
	for {
		picked, pending := set.Pick(wanted)
		switch {
		case pending != nil:
			return errors.New("permits are pending although no request has any")
		case picked == nil && !loaded:
			s.load(set)
			loaded = true
		case picked == nil:
			if s.used()+wanted <= s.limit {
				return fmt.Errorf("%d are refused, %d of %d are used: %v", wanted, s.used(), s.limit, s.taken)
			}
			return nil
		case s.take(picked):
			set.Claimed(picked)
			if s.used() > s.limit {
				return fmt.Errorf("%d of %d are used: %v and %d without", s.used(), s.limit, s.taken, s.unpermitted)
			}
			return nil
		default:
			set.Return(picked)
			set.Forget()
			loaded = false
		}
	}
}

func release(s *store, set *Set, random *rand.Rand) error {
	if len(s.taken) == 0 {
		return nil
	}
	taken := slices.Sorted(maps.Keys(s.taken))
	n := taken[random.IntN(len(taken))]
	delete(s.taken, n)
	set.Released(n)
	return nil
}

func TestPending(t *testing.T) {
	t.Parallel()
	set := New(2)
	if picked, pending := set.Pick(1); picked != nil || pending != nil {
		t.Fatal("a pick before the state was loaded")
	}
	set.Load(nil, 0)
	first, _ := set.Pick(1)
	if picked, pending := set.Pick(2); picked != nil || pending == nil {
		t.Fatalf("picked %v of one free permit", picked)
	}
	_, pending := set.Pick(2)
	set.Return(first)
	select {
	case <-pending:
	default:
		t.Error("nobody is told that a permit was returned")
	}
	both, _ := set.Pick(2)
	if len(both) != 2 || both[0] == both[1] {
		t.Fatalf("picked %v", both)
	}
	set.Claimed(both)
	if picked, pending := set.Pick(1); picked != nil || pending != nil {
		t.Errorf("picked %v of none", picked)
	}
}

func TestBound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		limit, unpermitted uint64
		taken              []Number
		want               uint64
	}{
		"nothing is used":                  {5, 0, nil, 5},
		"within the limit":                 {5, 0, []Number{0, 4}, 5},
		"a number beyond it":               {5, 0, []Number{0, 7}, 4},
		"numbers that the bound passes by": {5, 0, []Number{3, 4, 7, 8}, 1},
		"without permits":                  {5, 3, []Number{0}, 2},
		"both":                             {5, 2, []Number{0, 9}, 2},
		"more than the limit":              {2, 0, []Number{2, 3, 4}, 0},
		"more without than the limit":      {2, 3, nil, 0},
		"none allowed":                     {0, 0, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := bound(test.limit, test.taken, test.unpermitted); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
