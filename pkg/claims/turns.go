package claims

import (
	"context"
	"sync"
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
