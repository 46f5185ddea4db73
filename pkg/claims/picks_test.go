package claims

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

func TestPicks(t *testing.T) {
	pick := func(t *testing.T, p *Picks, slot string) allocation.Value {
		t.Helper()
		value, err := p.Pick(slot, allocation.Port)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	setUp := func(ports ...string) (*allocation.Index, *Picks) {
		index := newIndex()
		addPorts(index, "r", 1, ports...)
		_, picks := NewContext(context.Background(), index)
		return index, picks
	}
	checkFree := func(t *testing.T, index *allocation.Index, want int) {
		t.Helper()
		free := 0
		for ; ; free++ {
			if _, err := index.Pick(allocation.Port); err != nil {
				break
			}
		}
		if free != want {
			t.Errorf("%d free, want %d", free, want)
		}
	}

	t.Run("a slot keeps its value", func(t *testing.T) {
		_, picks := setUp("1-1000")
		a, b := pick(t, picks, "a"), pick(t, picks, "b")
		if a == b {
			t.Errorf("two slots got %s", a)
		}
		if again := pick(t, picks, "a"); again != a {
			t.Errorf("got %s, then %s", a, again)
		}
		if !picks.Picked(a) || !picks.Picked(b) || picks.Picked(port(1001)) {
			t.Error("what was picked is not known")
		}
	})
	t.Run("a slot that changes class is picked anew", func(t *testing.T) {
		index, picks := setUp("1-10")
		addCIDR(index, "c", 1, "10.0.0.0/24")
		pick(t, picks, "a")
		value, err := picks.Pick("a", allocation.IPv4)
		if err != nil || value.Class != allocation.IPv4 {
			t.Errorf("got %s, %v", value, err)
		}
	})
	t.Run("full", func(t *testing.T) {
		_, picks := setUp("1")
		pick(t, picks, "a")
		var full *allocation.FullError
		if _, err := picks.Pick("b", allocation.Port); !errors.As(err, &full) {
			t.Errorf("got %v", err)
		}
		pick(t, picks, "a")
	})
	t.Run("lost", func(t *testing.T) {
		index, picks := setUp("1-2")
		lost := pick(t, picks, "a")
		index.Observe(lost, allocation.Claim{UID: "other", Revision: 5})
		picks.lose(lost)
		if picks.Picked(lost) {
			t.Error("still picked")
		}
		if other := pick(t, picks, "a"); other == lost {
			t.Error("picked again")
		}
		if claim, held := index.Lookup(lost); !held || claim.UID != "other" {
			t.Error("the winner's claim is forgotten")
		}
	})
	t.Run("replaced", func(t *testing.T) {
		index, picks := setUp("1-2")
		lost := pick(t, picks, "a")
		index.Observe(lost, allocation.Claim{UID: "other", Revision: 5})
		other, err := picks.replace(lost)
		if err != nil || other == lost || pick(t, picks, "a") != other {
			t.Errorf("got %s, %v", other, err)
		}
		if _, err := picks.replace(lost); !errors.Is(err, errNotPicked) {
			t.Errorf("got %v", err)
		}
		index.Observe(other, allocation.Claim{UID: "other", Revision: 6})
		var full *allocation.FullError
		if _, err := picks.replace(other); !errors.As(err, &full) {
			t.Errorf("got %v", err)
		}
		if picks.Picked(other) {
			t.Error("a slot without value is picked")
		}
	})
	t.Run("end gives back", func(t *testing.T) {
		index, picks := setUp("1-3")
		claimed := pick(t, picks, "a")
		pick(t, picks, "b")
		index.Observe(claimed, allocation.Claim{UID: "a", Revision: 5})
		picks.End()
		picks.End()
		checkFree(t, index, 2)
	})
	t.Run("end in doubt keeps", func(t *testing.T) {
		index, picks := setUp("1-3")
		pick(t, picks, "a")
		picks.doubt()
		picks.End()
		checkFree(t, index, 2)
	})
	t.Run("none in the context", func(t *testing.T) {
		picks := FromContext(context.Background())
		if picks != nil || picks.Picked(port(1)) {
			t.Error("picks from nowhere")
		}
		picks.doubt()
		picks.write()()
	})
	t.Run("of a request", func(t *testing.T) {
		index, _ := setUp("1-3")
		handler := WithPicks(&Ledger{Index: index}, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			pick(t, FromContext(req.Context()), "a")
			panic("given back all the same")
		}))
		func() {
			defer func() { _ = recover() }()
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
		}()
		checkFree(t, index, 3)
	})
	// The framework answers a request that takes too long and leaves its write
	// to go on: nobody knows then whether it is committed.
	t.Run("end while a write is underway", func(t *testing.T) {
		index, picks := setUp("1-3")
		pick(t, picks, "a")
		done := picks.write()
		picks.End()
		done()
		checkFree(t, index, 2)
	})
	t.Run("end after a write", func(t *testing.T) {
		index, picks := setUp("1-3")
		pick(t, picks, "a")
		picks.write()()
		picks.End()
		checkFree(t, index, 3)
	})
	// What that write picks after the end would never be given back.
	t.Run("after the end", func(t *testing.T) {
		index, picks := setUp("1-3")
		picks.End()
		if value, err := picks.Pick("a", allocation.Port); err == nil {
			t.Errorf("picked %s", value)
		}
		checkFree(t, index, 3)
	})
}
