package claims

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestCoalescedIsNeverOlderThanTheCall changes what is computed while many compute it. No caller
// gets what was computed before it called.
func TestCoalescedIsNeverOlderThanTheCall(t *testing.T) {
	s := coalesced[int64]{age: time.Hour}
	var state, computations atomic.Int64
	compute := func(ctx context.Context) (int64, error) {
		computations.Add(1)
		return state.Load(), ctx.Err()
	}
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for range 500 {
				written := state.Add(1)
				if got, err := s.get(t.Context(), false, compute); err != nil || got < written {
					t.Errorf("got %d, %v after %d was written", got, err, written)
					return
				}
			}
		})
	}
	callers.Wait()
	if count := computations.Load(); count > 16*500 {
		t.Errorf("%d computations for %d calls", count, 16*500)
	}
	before := computations.Load()
	if _, err := s.get(t.Context(), true, compute); err != nil || computations.Load() != before {
		t.Errorf("an old result was computed again (%v)", err)
	}
}

// TestCoalescedOutlivesItsFirstCaller cancels the caller that started a computation.
func TestCoalescedOutlivesItsFirstCaller(t *testing.T) {
	s := coalesced[string]{age: time.Hour}
	began, finish := make(chan struct{}), make(chan struct{})
	compute := func(ctx context.Context) (string, error) {
		close(began)
		<-finish
		return "done", ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := s.get(ctx, false, compute)
		first <- err
	}()
	<-began
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first caller got %v", err)
	}
	close(finish)
	if got, err := s.get(t.Context(), true, compute); got != "done" || err != nil {
		t.Errorf("the second caller got %q, %v", got, err)
	}
}
