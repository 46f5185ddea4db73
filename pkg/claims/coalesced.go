package claims

import (
	"context"
	"sync"
	"time"
)

// coalescedTimeout bounds a computation, which goes on when its first caller leaves.
const coalescedTimeout = 30 * time.Second

// coalesced computes a value for its callers, one computation at a time. A caller gets the
// result of a computation that began after its call, and shares it with all who called
// before it began. So a crowd of callers costs no more than a few.
type coalesced[T any] struct {
	// age is how old a result may be for callers that accept an old one.
	age time.Duration
	// turn is held while a computation runs.
	turn sync.Mutex

	mu sync.Mutex
	// next is the computation that has not begun.
	next *computation[T]
	// last is the latest computation that has begun, until it is too old for anyone.
	last *computation[T]
}

type computation[T any] struct {
	done  chan struct{}
	began time.Time
	value T
	err   error
}

// get returns the result of a computation. With old, it can have begun
// before the call.
func (s *coalesced[T]) get(ctx context.Context, old bool, compute func(context.Context) (T, error)) (T, error) {
	c := s.join(ctx, old, compute)
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

func (s *coalesced[T]) join(ctx context.Context, old bool, compute func(context.Context) (T, error)) *computation[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old && s.last != nil && time.Since(s.last.began) < s.age {
		return s.last
	}
	if s.next == nil {
		s.next = &computation[T]{done: make(chan struct{})}
		go s.run(context.WithoutCancel(ctx), s.next, compute)
	}
	return s.next
}

func (s *coalesced[T]) run(ctx context.Context, c *computation[T], compute func(context.Context) (T, error)) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	s.next, s.last, c.began = nil, c, time.Now()
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, coalescedTimeout)
	defer cancel()
	defer close(c.done)
	c.value, c.err = compute(ctx)
	time.AfterFunc(s.age, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.last == c {
			s.last = nil
		}
	})
}
