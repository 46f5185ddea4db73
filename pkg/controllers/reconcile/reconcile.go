// Package reconcile runs workers on a rate-limited queue of keys.
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

// ErrStale is returned by a Sync if a cache has not delivered the caller's own last
// write. The key is requeued after a short delay.
var ErrStale = errors.New("the cache is older than the last write")

const (
	// The delay before a failed key is retried doubles from firstRetry to lastRetry.
	// Retries never stop, because a write that is rejected now can succeed later.
	firstRetry, lastRetry = 100 * time.Millisecond, 5 * time.Minute
	// All keys together are retried at this rate (in 1/s) and with this burst.
	retryRate, retryBurst = 50, 500
	// A cache lags for as long as an event takes to arrive, usually milliseconds.
	firstStale, lastStale = 5 * time.Millisecond, time.Second
	// finishTime is less than what is left of a Lease when its holder gives up, with the
	// default durations.
	finishTime = time.Second
)

// Sync reconciles the object that the key names.
type Sync func(ctx context.Context, key string) error

// Loop is a queue of keys and the function that workers call for each. The queue
// deduplicates keys that wait, and no key is processed by two workers at a time.
type Loop struct {
	name  string
	sync  Sync
	queue workqueue.TypedRateLimitingInterface[string]
	stale workqueue.TypedRateLimiter[string]
}

// New makes a loop. Name is the name of its queue in metrics.
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

// Add enqueues a key.
func (l *Loop) Add(key string) { l.queue.Add(key) }

// AddAfter enqueues a key after a delay.
func (l *Loop) AddAfter(key string, delay time.Duration) { l.queue.AddAfter(key, delay) }

// Finishing returns a context for requests in flight when ctx ends: it ends a second later.
// A server that answers its own requests logs those that are cut off as errors.
func Finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	finishing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(finishTime, cancel) })
	return finishing, func() {
		stop()
		cancel()
	}
}

// Run runs the workers until the context ends, and returns when all have stopped. A sync that
// runs has a second to finish.
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
	// A queue that is shut down still returns the keys in it.
	if ctx.Err() != nil {
		return false
	}
	finishing, cancel := Finishing(ctx)
	defer cancel()
	switch err := l.sync(finishing, key); {
	case err == nil:
		l.queue.Forget(key)
		l.stale.Forget(key)
	case ctx.Err() != nil:
	case errors.Is(err, ErrStale):
		l.queue.AddAfter(key, l.stale.When(key))
	default:
		klog.FromContext(ctx).Info("Sync failed; retrying later", "controller", l.name, "key", key, "err", err)
		l.queue.AddRateLimited(key)
	}
	return true
}
