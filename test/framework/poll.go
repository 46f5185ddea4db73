package framework

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// Patience is how long Eventually waits before the test fails. A cluster looks
	// again at a namespace whose Pods need time to end after 45 seconds.
	Patience = 3 * time.Minute
	// Pauses between polls grow, so that a long wait does not slow down what it
	// waits for.
	minPause, maxPause, growth = 10 * time.Millisecond, 50 * time.Millisecond, 1.1
)

// Eventually polls until a condition holds. If it does not within Patience, the
// test fails with the last error, which says what is there instead.
func Eventually(t testing.TB, what string, holds func(context.Context) (bool, error)) {
	t.Helper()
	if err := Poll(t.Context(), holds); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Poll is Eventually where a test has more to say about the failure.
func Poll(ctx context.Context, holds func(context.Context) (bool, error)) error {
	var last error
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	pauses := wait.Backoff{Duration: minPause, Factor: growth, Cap: maxPause, Steps: math.MaxInt}.DelayFunc()
	err := pauses.Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		done, err := holds(ctx)
		// An error because time is up says less than the one before.
		if ctx.Err() == nil {
			last = err
		}
		return done, nil
	})
	if err != nil {
		return fmt.Errorf("not within %v: %w; last: %w", Patience, err, last)
	}
	return nil
}
