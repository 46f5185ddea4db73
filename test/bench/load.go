package main

import (
	"context"
	"fmt"
	"log"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	opCreate = "create"
	opDelete = "delete"

	fillClients   = 32
	progressEvery = 5 * time.Second
)

// Stats are what one measurement found. Failed requests count in nothing else.
type Stats struct {
	Rate   float64 `json:"perSecond"`
	P50    float64 `json:"p50ms"`
	P99    float64 `json:"p99ms"`
	Failed int     `json:"failed,omitempty"`
}

// request sends the n-th request of a load.
type request func(ctx context.Context, worker, n int) error

// load is what a number of requests at a number of clients came to.
type load struct {
	latencies []time.Duration
	elapsed   time.Duration
	// failed holds the number of each request that failed.
	failed []int
	err    error
}

// drive sends requests from a number of clients, each of which sends its next
// one when it has the answer to its last. A failure of a few is a finding, one
// of many means that something is wrong with the measurement.
func drive(ctx context.Context, workers, requests int, send request) (*load, error) {
	var next atomic.Int64
	parts := make([]load, workers)
	var wait sync.WaitGroup
	started := time.Now()
	for worker := range workers {
		wait.Go(func() {
			part := &parts[worker]
			for ctx.Err() == nil {
				n := int(next.Add(1) - 1)
				if n >= requests {
					return
				}
				begun := time.Now()
				if err := send(ctx, worker, n); err != nil {
					part.failed, part.err = append(part.failed, n), err
					continue
				}
				part.latencies = append(part.latencies, time.Since(begun))
			}
		})
	}
	wait.Wait()
	whole := &load{elapsed: time.Since(started)}
	for _, part := range parts {
		whole.latencies = append(whole.latencies, part.latencies...)
		whole.failed = append(whole.failed, part.failed...)
		if part.err != nil {
			whole.err = part.err
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if len(whole.failed)*2 > requests {
		return nil, fmt.Errorf("%d of %d requests failed, one with: %w", len(whole.failed), requests, whole.err)
	}
	return whole, nil
}

func (l *load) stats() Stats {
	slices.Sort(l.latencies)
	return Stats{
		Rate:   float64(len(l.latencies)) / l.elapsed.Seconds(),
		P50:    quantile(l.latencies, 0.50),
		P99:    quantile(l.latencies, 0.99),
		Failed: len(l.failed),
	}
}

// quantile of sorted latencies in milliseconds, by nearest rank.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return float64(sorted[max(rank, 0)]) / float64(time.Millisecond)
}

// churn creates Services and deletes them again, so that the next measurement
// finds as many in place as this one.
func churn(ctx context.Context, t target, kind string, workers, samples int) (created, deleted Stats, err error) {
	name := func(n int) string { return fmt.Sprintf("sample-%06d", n) }
	creates, err := drive(ctx, workers, samples, func(ctx context.Context, worker, n int) error {
		return t.create(ctx, worker, kind, name(n))
	})
	if err != nil {
		return created, deleted, fmt.Errorf("%s: creating %s Services: %w", t.name(), kind, err)
	}
	var names []string
	for n := range samples {
		if !slices.Contains(creates.failed, n) {
			names = append(names, name(n))
		}
	}
	deletes, err := drive(ctx, workers, len(names), func(ctx context.Context, worker, n int) error {
		return t.delete(ctx, worker, names[n])
	})
	if err != nil {
		return created, deleted, fmt.Errorf("%s: deleting %s Services: %w", t.name(), kind, err)
	}
	for _, l := range []*load{creates, deletes} {
		if l.err != nil {
			log.Printf("  %s failed %d requests, one with: %v", t.name(), len(l.failed), l.err)
		}
	}
	return creates.stats(), deletes.stats(), nil
}

// fill brings a target from one number of Services to another.
func fill(ctx context.Context, t target, from, to int) error {
	started := time.Now()
	var done atomic.Int64
	progress := time.NewTicker(progressEvery)
	defer progress.Stop()
	finished := make(chan struct{})
	defer close(finished)
	go func() {
		for {
			select {
			case <-finished:
				return
			case <-progress.C:
				log.Printf("  %s: %d of %d Services", t.name(), from+int(done.Load()), to)
			}
		}
	}()
	l, err := drive(ctx, fillClients, to-from, func(ctx context.Context, worker, n int) error {
		defer done.Add(1)
		return t.create(ctx, worker, clusterIP, fmt.Sprintf("filler-%06d", from+n))
	})
	if err != nil {
		return fmt.Errorf("%s: filling to %d Services: %w", t.name(), to, err)
	}
	if l.err != nil {
		log.Printf("  %s failed %d requests, one with: %v", t.name(), len(l.failed), l.err)
	}
	log.Printf("  %s: %d Services, %d more in %v", t.name(), to, to-from, time.Since(started).Round(100*time.Millisecond))
	return nil
}
