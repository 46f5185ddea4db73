package framework

import (
	"context"
	"testing"
)

// Await is Eventually for a condition that must not meet an error on the way: the
// first one fails the test.
func Await(t testing.TB, what string, holds func(context.Context) (bool, error)) {
	t.Helper()
	Eventually(t, what, func(ctx context.Context) (bool, error) {
		t.Helper()
		done, err := holds(ctx)
		if err != nil && ctx.Err() == nil {
			t.Fatalf("%s: %v", what, err)
		}
		return done, err
	})
}
