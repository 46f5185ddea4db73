package claims

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/util/dryrun"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

// Picks are the values chosen for one request. A slot that is asked for again,
// on another attempt of the same update, gets the same value again unless it
// was lost.
type Picks struct {
	index *allocation.Index

	mu    sync.Mutex
	slots map[string]allocation.Value
	// slotOf is slots the other way round: a Service may have tens of thousands.
	slotOf map[allocation.Value]string
	named  sets.Set[allocation.Value]
	// refusals are what the plugins have against the object of this attempt, in
	// the order in which they run.
	refusals []refusal
	doubted  bool
	// writes are underway. The framework answers a request that takes too long
	// and leaves its write to go on.
	writes int
	ended  bool
	// failures are the values that the last attempt can't have: by their name,
	// or by the slot that there was nothing to pick for.
	failures map[string]Failure
	observer Observer
}

type refusal struct {
	plugin string
	cause  *field.Error
}

var errEnded = errors.New("the request has ended")

type picksKey struct{}

// WithPicks gives every request an empty set of picks, and gives back what the
// request did not use when it has ended.
func WithPicks(ledger *Ledger, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx, picks := NewContext(req.Context(), ledger.Index)
		if req.URL.RawQuery == "" || !dryrun.IsDryRun(req.URL.Query()["dryRun"]) {
			picks.observer = ledger.observe()
		}
		defer picks.End()
		handler.ServeHTTP(w, req.WithContext(ctx))
	})
}

// NewContext puts an empty set of picks into a context, for requests that
// don't come over HTTP. The caller ends it.
func NewContext(ctx context.Context, index *allocation.Index) (context.Context, *Picks) {
	picks := &Picks{index: index, slots: map[string]allocation.Value{}, slotOf: map[allocation.Value]string{}, observer: silent{}}
	return context.WithValue(ctx, picksKey{}, picks), picks
}

// FromContext is the request's set of picks, nil where there is none: the
// storage takes that for a request that picked nothing.
func FromContext(ctx context.Context) *Picks {
	picks, _ := ctx.Value(picksKey{}).(*Picks)
	return picks
}

// Named says which values the object of this attempt names itself. They are
// free as far as the index knows, but not for the object's other slots.
func (p *Picks) Named(values []allocation.Value) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.named = sets.New(values...)
}

// Refuse is how a plugin says that the object can't have a value, or, with no
// cause, that there is nothing of the kind any more. It is the storage that
// answers with it, after it has looked whether the object is there already: who
// creates an object twice is told that, and not that its values are taken.
func (p *Picks) Refuse(plugin string, cause *field.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.refusals {
		if p.refusals[i].plugin == plugin {
			p.refusals[i].cause = cause
			return
		}
	}
	p.refusals = append(p.refusals, refusal{plugin, cause})
}

// Refused is the first cause there is to refuse the write, or nil.
func (p *Picks) Refused() *field.Error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, refusal := range p.refusals {
		if refusal.cause != nil {
			return refusal.cause
		}
	}
	return nil
}

// Pick chooses a value for a slot of the object. The error is an
// *allocation.FullError, unless the request has ended, when nobody would give
// the value back.
func (p *Picks) Pick(slot string, class allocation.Class) (allocation.Value, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return allocation.Value{}, errEnded
	}
	if value, ok := p.slots[slot]; ok {
		if value.Class == class && !p.named.Has(value) {
			return value, nil
		}
		p.drop(slot, value)
	}
	return p.pick(slot, class)
}

func (p *Picks) pick(slot string, class allocation.Class) (allocation.Value, error) {
	for {
		value, err := p.index.Pick(class)
		if err != nil {
			p.failPick(slot, class, err)
			return allocation.Value{}, err
		}
		if !p.named.Has(value) {
			p.slots[slot], p.slotOf[value] = value, slot
			delete(p.failures, slot)
			return value, nil
		}
		// Kept until a pick is found, or it would be picked again.
		defer p.index.Drop(value)
	}
}

// Picked says whether a value was chosen by the server and not by the client.
// The storage finds another for one whose range goes meanwhile.
func (p *Picks) Picked(value allocation.Value) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, picked := p.slotOf[value]
	return picked
}

func (p *Picks) drop(slot string, value allocation.Value) {
	p.index.Drop(value)
	p.forget(slot, value)
}

func (p *Picks) forget(slot string, value allocation.Value) {
	delete(p.slots, slot)
	delete(p.slotOf, value)
}

// lose forgets a value that turned out to be somebody else's, so that its slot
// gets another.
func (p *Picks) lose(value allocation.Value) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slot, picked := p.slotOf[value]; picked {
		p.drop(slot, value)
	}
}

// replace loses a value and picks another for its slot.
func (p *Picks) replace(value allocation.Value) (allocation.Value, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slot, picked := p.slotOf[value]
	if !picked {
		return allocation.Value{}, errNotPicked
	}
	p.drop(slot, value)
	return p.pick(slot, value.Class)
}

// claimed takes note that values are claimed now, and says of each whether it
// had been picked. They are the index's to know: by the time the request ends,
// somebody else may have picked one again.
func (p *Picks) claimed(values []allocation.Value) map[allocation.Value]bool {
	if p == nil || len(values) == 0 {
		return nil
	}
	picked := make(map[allocation.Value]bool, len(values))
	for _, value := range values {
		picked[value] = false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for slot, value := range p.slots {
		if _, claimed := picked[value]; claimed {
			picked[value] = true
			p.forget(slot, value)
		}
	}
	return picked
}

// doubt remembers that a write of the request had no answer: see
// allocation.Index.Doubt.
func (p *Picks) doubt() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubted = true
}

// write takes note that a write begins; the caller calls done when it is over.
func (p *Picks) write() (done func()) {
	if p == nil {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.writes--
	}
}

// End gives back what was picked and not claimed. What a write still goes on
// about is given back in doubt.
func (p *Picks) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, failure := range p.failures {
		p.observer.Failed(failure)
	}
	for slot, value := range p.slots {
		if p.doubted || p.writes > 0 {
			p.index.Doubt(value)
		} else {
			p.index.Drop(value)
		}
		p.forget(slot, value)
	}
}

// Fail takes note that this attempt of the request is refused a value that it
// names.
func (p *Picks) Fail(value allocation.Value) {
	if p == nil {
		return
	}
	block := p.index.BlockOf(value)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(value.String(), Failure{Class: value.Class, Block: block, Scope: Static})
}

// failPick takes note that there was nothing to pick for a slot. The lock must be
// held.
func (p *Picks) failPick(slot string, class allocation.Class, err error) {
	failure := Failure{Class: class, Scope: Dynamic}
	var full *allocation.FullError
	if errors.As(err, &full) && len(full.Ranges) == 1 {
		failure.Block = full.Ranges[0].Text
	}
	p.note(slot, failure)
}

// note needs the lock. Few requests have a failure, so few get the map.
func (p *Picks) note(name string, failure Failure) {
	if p.failures == nil {
		p.failures = map[string]Failure{}
	}
	p.failures[name] = failure
}

// noFailure forgets the failures: another attempt begins, or they are not what
// the request is answered with.
func (p *Picks) noFailure() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.failures)
}

var errNotPicked = errors.New("the value was not picked for this request")
