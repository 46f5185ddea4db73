package requeststate

import (
	"errors"
	"net/http"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/util/dryrun"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

// Picks are the values chosen for one request, and its other state that lasts over
// several attempts. A slot that another attempt of the same update asks for again gets
// the same value again, unless that was lost.
type Picks struct {
	index *allocation.Index

	mu    sync.Mutex
	slots map[string]allocation.Value
	// slotOf is the inverse of slots: a Service may have tens of thousands.
	slotOf map[allocation.Value]string
	named  sets.Set[allocation.Value]
	// status is the one that admission has decided on; see SetStatus.
	status *corev1.ServiceStatus
	// reserved are the values in slots that are reserved for the object. The index has
	// them as claims and not as picks.
	reserved sets.Set[allocation.Value]
	// known are the reservations for the object that admission knew, by class. sought has
	// a bit for each class of which it wanted to know.
	known  map[allocation.Class][]allocation.Reservation
	sought uint8
	// rejections are those of the plugins for the object of this attempt, in the order in
	// which the plugins run.
	rejections []rejection
	// charged is true once the request has been charged to its quotas.
	charged bool
	// unanswered is true once a write had no answer.
	unanswered bool
	// writes is the number of writes in progress. The framework answers a request that
	// times out and lets its write continue.
	writes int
	ended  bool
	// failures are the values that the last attempt failed to get: by name, or by the
	// slot for which no value was free.
	failures map[string]Failure
	// failed receives the failures when the request ends.
	failed func(Failure)
}

type rejection struct {
	plugin string
	cause  *field.Error
}

var (
	errEnded     = errors.New("the request has ended")
	errNotPicked = errors.New("the value was not picked for this request")
)

func newPicks(index *allocation.Index) *Picks {
	return &Picks{
		index: index, slots: map[string]allocation.Value{}, slotOf: map[allocation.Value]string{}, reserved: sets.Set[allocation.Value]{},
		failed: func(Failure) {},
	}
}

// WithPicks is the filter that gives requests an empty set of picks. When a request has
// ended, it returns the values that the request did not claim, and reports those that it
// failed to get.
func WithPicks(index *allocation.Index, failed func(Failure), handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx, picks := NewPicks(req.Context(), index)
		if req.URL.RawQuery == "" || !dryrun.IsDryRun(req.URL.Query()["dryRun"]) {
			picks.failed = failed
		}
		defer picks.End()
		handler.ServeHTTP(w, req.WithContext(ctx))
	})
}

// SetNamed sets the values that the object of this attempt names itself. They may be
// free in the index, but they are not free for the object's other slots.
func (p *Picks) SetNamed(values []allocation.Value) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.named = sets.New(values...)
}

// Pick chooses a value for a slot of the object. The error is an *allocation.ExhaustedError,
// unless the request has ended: then nothing would return the value.
func (p *Picks) Pick(slot string, class allocation.Class, who allocation.Requester) (allocation.Value, error) {
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
	return p.pick(slot, class, who)
}

func (p *Picks) pick(slot string, class allocation.Class, who allocation.Requester) (allocation.Value, error) {
	for {
		value, err := p.index.Pick(class, who)
		if err != nil {
			p.failPick(slot, class, err)
			return allocation.Value{}, err
		}
		if !p.named.Has(value) {
			p.slots[slot], p.slotOf[value] = value, slot
			delete(p.failures, slot)
			return value, nil
		}
		// The value is kept until the pick is done, or it would be picked again.
		defer p.index.Drop(value)
	}
}

// SetKnown records the reservations of a class for the object that this attempt can use.
func (p *Picks) SetKnown(class allocation.Class, reservations []allocation.Reservation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sought |= 1 << class
	if p.known == nil {
		if len(reservations) == 0 {
			return
		}
		p.known = map[allocation.Class][]allocation.Reservation{}
	}
	p.known[class] = reservations
}

// Missed reports whether a reservation for the object is not one of those that were
// recorded, although those of its class were.
func (p *Picks) Missed(value allocation.Value) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sought&(1<<value.Class) != 0 &&
		!slices.ContainsFunc(p.known[value.Class], func(r allocation.Reservation) bool { return r.Value == value })
}

// UseReserved puts a value into a slot that is reserved for the object. From then on it is
// like a picked value. It leaves the slot in which it was before.
func (p *Picks) UseReserved(slot string, value allocation.Value) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	if old, ok := p.slotOf[value]; ok {
		p.forget(old, value)
	}
	if old, ok := p.slots[slot]; ok {
		p.drop(slot, old)
	}
	p.slots[slot], p.slotOf[value] = value, slot
	p.reserved.Insert(value)
	delete(p.failures, slot)
}

// Picked reports whether the server chose a value, and not the client. The storage
// replaces a picked value that is no longer in a range.
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
	if !p.reserved.Has(value) {
		p.index.Drop(value)
	}
	p.forget(slot, value)
}

func (p *Picks) forget(slot string, value allocation.Value) {
	delete(p.slots, slot)
	delete(p.slotOf, value)
	p.reserved.Delete(value)
}

// Lose forgets values that can't be claimed anymore, so that their slots get others.
func (p *Picks) Lose(values []allocation.Value) {
	if len(values) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, value := range values {
		if slot, picked := p.slotOf[value]; picked {
			p.drop(slot, value)
		}
	}
}

// Replace loses a value and picks another for its slot.
func (p *Picks) Replace(value allocation.Value, who allocation.Requester) (allocation.Value, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slot, picked := p.slotOf[value]
	if !picked {
		return allocation.Value{}, errNotPicked
	}
	p.drop(slot, value)
	return p.pick(slot, value.Class, who)
}

// Claimed records that values have been claimed, and reports for each whether it had
// been picked. From now on only the index has them: when the request ends, another
// request may have picked one again.
func (p *Picks) Claimed(values []allocation.Value) map[allocation.Value]bool {
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

// RecordUnanswered records that a write of the request had no answer; see allocation.Index.DropLater.
func (p *Picks) RecordUnanswered() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unanswered = true
}

// BeginWrite records that a write begins. The caller must call done when it has ended.
func (p *Picks) BeginWrite() (done func()) {
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

// End returns the values that were picked and not claimed: later, if a write had no
// answer or is still in progress.
func (p *Picks) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, failure := range p.failures {
		p.failed(failure)
	}
	for slot, value := range p.slots {
		switch {
		case p.reserved.Has(value):
		case p.unanswered || p.writes > 0:
			p.index.DropLater(value)
		default:
			p.index.Drop(value)
		}
		p.forget(slot, value)
	}
}
