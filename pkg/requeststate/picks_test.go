package requeststate

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

func pick(t *testing.T, p *Picks, slot string) allocation.Value {
	t.Helper()
	value, err := p.Pick(slot, allocation.Port, allocation.Requester{})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// picksFrom makes an empty set of picks for an index of a few ports.
func picksFrom(t *testing.T, ports string) (*allocation.Index, *Picks) {
	t.Helper()
	spans, err := space.PortSpans([]string{ports}, nil)
	if err != nil {
		t.Fatal(err)
	}
	index := allocation.New(time.Now)
	addRange(index, allocation.Port, allocation.Block{Text: ports, Span: spans[0]})
	_, picks := NewPicks(t.Context(), index)
	return index, picks
}

func addRange(index *allocation.Index, class allocation.Class, block allocation.Block) {
	index.SetRange(class, allocation.Range{Name: "r", Revision: 1, Blocks: []allocation.Block{block}, Usable: true})
}

func heldBy(uid types.UID, revision int64) allocation.Claim {
	return allocation.Claim{Holder: v1.ParentReference{UID: uid}, Revision: revision}
}

func checkFree(t *testing.T, index *allocation.Index, want int) {
	t.Helper()
	free := 0
	for ; ; free++ {
		if _, err := index.Pick(allocation.Port, allocation.Requester{}); err != nil {
			break
		}
	}
	if free != want {
		t.Errorf("%d free, want %d", free, want)
	}
}

func TestPicks(t *testing.T) {
	t.Run("a slot keeps its value", func(t *testing.T) {
		_, picks := picksFrom(t, "1-1000")
		a, b := pick(t, picks, "a"), pick(t, picks, "b")
		if a == b {
			t.Errorf("two slots got %s", a)
		}
		if again := pick(t, picks, "a"); again != a {
			t.Errorf("got %s, then %s", a, again)
		}
		if !picks.Picked(a) || !picks.Picked(b) || picks.Picked(allocation.NodePort(1001)) {
			t.Error("what was picked is not known")
		}
	})
	t.Run("a slot that changes class is picked anew", func(t *testing.T) {
		index, picks := picksFrom(t, "1-10")
		addRange(index, allocation.IPv4, allocation.Block{Span: space.PrefixSpan(netip.MustParsePrefix("10.0.0.0/24"))})
		pick(t, picks, "a")
		value, err := picks.Pick("a", allocation.IPv4, allocation.Requester{})
		if err != nil || value.Class != allocation.IPv4 {
			t.Errorf("got %s, %v", value, err)
		}
	})
	t.Run("full", func(t *testing.T) {
		_, picks := picksFrom(t, "1")
		pick(t, picks, "a")
		var full *allocation.ExhaustedError
		if _, err := picks.Pick("b", allocation.Port, allocation.Requester{}); !errors.As(err, &full) {
			t.Errorf("got %v", err)
		}
		pick(t, picks, "a")
	})
	t.Run("none in the context", func(t *testing.T) {
		picks := From(context.Background()).Picks
		if picks != nil || picks.Picked(allocation.NodePort(1)) {
			t.Error("picks from nowhere")
		}
		picks.RecordUnanswered()
		picks.BeginWrite()()
	})
}

// A pick is lost if another write claims it first.
func TestLostPicks(t *testing.T) {
	t.Run("lost", func(t *testing.T) {
		index, picks := picksFrom(t, "1-2")
		lost := pick(t, picks, "a")
		index.Observe(lost, heldBy("other", 5))
		picks.Lose([]allocation.Value{lost})
		if picks.Picked(lost) {
			t.Error("still picked")
		}
		if other := pick(t, picks, "a"); other == lost {
			t.Error("picked again")
		}
		if claim, held := index.Lookup(lost); !held || claim.Holder.UID != "other" {
			t.Error("the winner's claim is forgotten")
		}
	})
	t.Run("replaced", func(t *testing.T) {
		index, picks := picksFrom(t, "1-2")
		lost := pick(t, picks, "a")
		index.Observe(lost, heldBy("other", 5))
		other, err := picks.Replace(lost, allocation.Requester{})
		if err != nil || other == lost || pick(t, picks, "a") != other {
			t.Errorf("got %s, %v", other, err)
		}
		if _, err := picks.Replace(lost, allocation.Requester{}); !errors.Is(err, errNotPicked) {
			t.Errorf("got %v", err)
		}
		index.Observe(other, heldBy("other", 6))
		var full *allocation.ExhaustedError
		if _, err := picks.Replace(other, allocation.Requester{}); !errors.As(err, &full) {
			t.Errorf("got %v", err)
		}
		if picks.Picked(other) {
			t.Error("a slot without value is picked")
		}
	})
}

// The end of a request returns the picks that were not claimed.
func TestEndOfPicks(t *testing.T) {
	t.Run("end gives back", func(t *testing.T) {
		index, picks := picksFrom(t, "1-3")
		claimed := pick(t, picks, "a")
		pick(t, picks, "b")
		index.Observe(claimed, heldBy("a", 5))
		picks.End()
		picks.End()
		checkFree(t, index, 2)
	})
	t.Run("end without an answer keeps", func(t *testing.T) {
		index, picks := picksFrom(t, "1-3")
		pick(t, picks, "a")
		picks.RecordUnanswered()
		picks.End()
		checkFree(t, index, 2)
	})
	t.Run("of a request", func(t *testing.T) {
		index, _ := picksFrom(t, "1-3")
		handler := WithPicks(index, func(Failure) {}, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			pick(t, From(req.Context()).Picks, "a")
			panic("given back all the same")
		}))
		func() {
			defer func() { _ = recover() }()
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
		}()
		checkFree(t, index, 3)
	})
	// The framework answers a request that times out and lets its write continue. It is
	// unknown then whether the write is committed.
	t.Run("end while a write is underway", func(t *testing.T) {
		index, picks := picksFrom(t, "1-3")
		pick(t, picks, "a")
		done := picks.BeginWrite()
		picks.End()
		done()
		checkFree(t, index, 2)
	})
	t.Run("end after a write", func(t *testing.T) {
		index, picks := picksFrom(t, "1-3")
		pick(t, picks, "a")
		picks.BeginWrite()()
		picks.End()
		checkFree(t, index, 3)
	})
	// Nothing would return a value that such a write picks after the end.
	t.Run("after the end", func(t *testing.T) {
		index, picks := picksFrom(t, "1-3")
		picks.End()
		if value, err := picks.Pick("a", allocation.Port, allocation.Requester{}); err == nil {
			t.Errorf("picked %s", value)
		}
		checkFree(t, index, 3)
	})
}

// The rejection of the first plugin counts, whichever of them rejected first.
func TestRejections(t *testing.T) {
	_, picks := picksFrom(t, "1")
	cause := func(text string) *field.Error { return field.Forbidden(field.NewPath("spec"), text) }
	picks.ClearRejection("first")
	picks.SetRejection("second", cause("b"))
	if got := picks.Rejection(); got == nil || got.Detail != "b" {
		t.Errorf("got %v", got)
	}
	picks.SetRejection("first", cause("a"))
	if got := picks.Rejection(); got == nil || got.Detail != "a" {
		t.Errorf("got %v", got)
	}
	picks.ClearRejection("first")
	picks.ClearRejection("second")
	if got := picks.Rejection(); got != nil {
		t.Errorf("got %v", got)
	}
}
