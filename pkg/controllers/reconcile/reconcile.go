// Package reconcile runs workers on a rate-limited queue of keys. A worker reconciles
// something with the object of a key.
package reconcile

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// ErrStale says that a cache has yet to see what was written by the caller
// itself, so that nothing can be decided yet.
var ErrStale = errors.New("the cache is older than what was written")

const (
	// An item that failed is tried again after a time that doubles each time.
	// It is never given up: what was refused may be accepted later.
	firstRetry, lastRetry = 100 * time.Millisecond, 5 * time.Minute
	// All items together are retried at this rate, in 1/s, with such a burst.
	retryRate, retryBurst = 50, 500
	// A cache is behind for as long as an event takes.
	firstStale, lastStale = 5 * time.Millisecond, time.Second
)

// Sync brings one thing in line with the object that the key names.
type Sync func(ctx context.Context, key string) error

// Loop is a queue of keys and what is done with them. A key that is added
// several times before its turn has one turn, and never two at a time.
type Loop struct {
	name  string
	sync  Sync
	queue workqueue.TypedRateLimitingInterface[string]
	stale workqueue.TypedRateLimiter[string]
}

// New makes a loop; the name is that of its queue in metrics.
func New(name string, sync Sync) *Loop {
	limiter := workqueue.NewTypedMaxOfRateLimiter(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry),
		&workqueue.TypedBucketRateLimiter[string]{Limiter: rate.NewLimiter(retryRate, retryBurst)},
	)
	return &Loop{
		name:  name,
		sync:  sync,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[string]{Name: name}),
		stale: workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstStale, lastStale),
	}
}

// Add gives a key a turn.
func (l *Loop) Add(key string) { l.queue.Add(key) }

// AddAfter gives a key a turn in a while.
func (l *Loop) AddAfter(key string, delay time.Duration) { l.queue.AddAfter(key, delay) }

// Run works until the context ends, and returns when the last call has.
func (l *Loop) Run(ctx context.Context, workers int) {
	stop := context.AfterFunc(ctx, l.queue.ShutDown)
	defer stop()
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for l.next(ctx) {
			}
		})
	}
	running.Wait()
}

func (l *Loop) next(ctx context.Context) bool {
	key, ended := l.queue.Get()
	if ended {
		return false
	}
	defer l.queue.Done(key)
	// A queue that is shut down still gives out what is in it.
	if ctx.Err() != nil {
		return false
	}
	switch err := l.sync(ctx, key); {
	case err == nil:
		l.queue.Forget(key)
		l.stale.Forget(key)
	case ctx.Err() != nil:
	case errors.Is(err, ErrStale):
		l.queue.AddAfter(key, l.stale.When(key))
	default:
		klog.FromContext(ctx).Info("Trying again later", "controller", l.name, "key", key, "err", err)
		l.queue.AddRateLimited(key)
	}
	return true
}
