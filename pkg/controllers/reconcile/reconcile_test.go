package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestRun adds keys that fail, that are stale and that succeed. Each is retried until
// it succeeds.
func TestRun(t *testing.T) {
	var mu sync.Mutex
	turns := map[string]int{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := New("test", func(_ context.Context, key string) error {
		mu.Lock()
		defer mu.Unlock()
		turns[key]++
		switch {
		case key == "fails" && turns[key] < 3:
			return errors.New("no")
		case key == "stale" && turns[key] < 4:
			return fmt.Errorf("wrapped: %w", ErrStale)
		}
		if turns["fails"] == 3 && turns["stale"] == 4 && turns["fine"] == 1 {
			cancel()
		}
		return nil
	})
	for _, key := range []string{"fails", "stale", "fine", "fine"} {
		l.Add(key)
	}
	l.Run(ctx, 3)
	if turns["fails"] != 3 || turns["stale"] != 4 || turns["fine"] != 1 {
		t.Errorf("turns %v", turns)
	}
}

// TestRunEnds ends the context while keys are queued. The sync that runs can finish, for a
// second, and no other starts.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begun, done := 0, 0
		var atStop error
		l := New("test", func(syncCtx context.Context, _ string) error {
			begun++
			cancel()
			synctest.Wait()
			atStop = syncCtx.Err()
			<-syncCtx.Done()
			done++
			return nil
		})
		for i := range 100 {
			l.Add(fmt.Sprint(i))
		}
		start := time.Now()
		l.Run(ctx, 1)
		if took := time.Since(start); begun != 1 || done != 1 || atStop != nil || took != finishTime {
			t.Errorf("%d were begun and %d done, with the error %v at the stop, after %v", begun, done, atStop, took)
		}
	})
}
