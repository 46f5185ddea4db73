package claims

import (
	"context"
	"sync"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

// turns makes writes with the same key go one after the other. Writes of one claim would
// otherwise reject each other. It is only for speed: writes of other replicas do not wait.
type turns struct {
	mu   sync.Mutex
	keys map[string]*turn
}

type turn struct {
	// taken has one element while it is taken.
	taken chan struct{}
	// users counts those that have the turn or wait for it.
	users int
}

func newTurns() *turns { return &turns{keys: map[string]*turn{}} }

// take waits for the turn of a key. The caller must call leave, once.
func (t *turns) take(ctx context.Context, key string) (leave func(), err error) {
	t.mu.Lock()
	mine := t.keys[key]
	if mine == nil {
		mine = &turn{taken: make(chan struct{}, 1)}
		t.keys[key] = mine
	}
	mine.users++
	t.mu.Unlock()
	select {
	case mine.taken <- struct{}{}:
		return func() { <-mine.taken; t.forget(key, mine) }, nil
	case <-ctx.Done():
		t.forget(key, mine)
		return nil, context.Cause(ctx)
	}
}

// forget removes a turn that nobody uses.
func (t *turns) forget(key string, mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine.users--
	if mine.users == 0 {
		delete(t.keys, key)
	}
}

// takeTurn waits for the write's turn among those of this replica that use the same sharing
// key. A pick that no other Service has is lost if, meanwhile, there is a value to share:
// the Services of a key that are created at the same time share one address.
func (w *write) takeTurn(ctx context.Context, c change) error {
	if w.leave == nil {
		key := sharingKey(c)
		if key == "" {
			return nil
		}
		var err error
		if w.leave, err = w.ledger.turns.take(ctx, key); err != nil {
			return err
		}
	}
	who, err := w.ledger.Requester(ctx, c.owner)
	if err != nil {
		return err
	}
	var lost []allocation.Value
	for _, value := range diff(c.before, c.after).take {
		if c.after[value].share == nil || !w.picks.Picked(value) {
			continue
		}
		if _, claimed := w.ledger.Index.Lookup(value); claimed {
			continue
		}
		if _, ok := w.ledger.Index.Shareable(value.Class, who.Of(value.Class)); ok {
			lost = append(lost, value)
		}
	}
	if len(lost) > 0 {
		return &retryError{lost: lost}
	}
	return nil
}

// sharingKey returns the key under which the Service of a change shares values, or has
// shared them.
func sharingKey(c change) string {
	for _, held := range []holdings{c.after, c.before} {
		for _, holding := range held {
			if holding.share != nil && holding.share.Key != "" {
				return holding.share.Key
			}
		}
	}
	return ""
}
