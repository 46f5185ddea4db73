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
	fillClients   = 32
	progressEvery = 5 * time.Second
)

// Stats are what one measurement found. Failed requests count in nothing else.
type Stats struct {
	Rate float64 `json:"perSecond"`
	P50  float64 `json:"p50ms"`
	P99  float64 `json:"p99ms"`
	// CPU is the server's CPU time per request, with its etcd's, 0 where it can't be found
	// out.
	CPU float64 `json:"cpuMs"`
	// FirstByte is the median time to the first byte of a list.
	FirstByte float64 `json:"firstByteMs,omitempty"`
	Failed    int     `json:"failed,omitempty"`
}

// request sends the n-th request of a load.
type request func(ctx context.Context, worker, n int) error

// load is what a number of requests at a number of clients came to.
type load struct {
	latencies []time.Duration
	elapsed   time.Duration
	// cpu is what the server has used meanwhile.
	cpu time.Duration
	// failed holds the number of each request that failed.
	failed []int
	err    error
}

// measured is drive with the CPU time of the target.
func measured(ctx context.Context, t target, workers, requests int, send request) (*load, error) {
	before, err := t.usage()
	if err != nil {
		return nil, err
	}
	whole, err := drive(ctx, workers, requests, send)
	if err != nil {
		return nil, err
	}
	after, err := t.usage()
	whole.cpu = after.CPU - before.CPU
	return whole, err
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
		CPU:    milliseconds(l.cpu) / float64(max(len(l.latencies), 1)),
		Failed: len(l.failed),
	}
}

// quantile of sorted latencies in milliseconds, by nearest rank.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return milliseconds(sorted[max(rank, 0)])
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// churn creates Services, sends the requests about them, and deletes them again, so that
// the next measurement finds as many in place as this one. The results are by the name of
// the request.
func churn(ctx context.Context, t target, kind string, workers, samples int, between []operation) (map[string]Stats, error) {
	name := func(n int) string { return fmt.Sprintf("sample-%06d", n) }
	results := map[string]Stats{}
	run := func(op string, requests int, send request) (*load, error) {
		l, err := measured(ctx, t, workers, requests, send)
		if err != nil {
			return nil, fmt.Errorf("%s: %s of %s Services: %w", t.name(), op, kind, err)
		}
		if l.err != nil {
			log.Printf("  %s failed %d requests (%s), one with: %v", t.name(), len(l.failed), op, l.err)
		}
		results[op] = l.stats()
		return l, nil
	}
	creates, err := run(opCreate, samples, func(ctx context.Context, worker, n int) error { return t.create(ctx, worker, kind, name(n)) })
	if err != nil {
		return nil, err
	}
	var names []string
	for n := range samples {
		if !slices.Contains(creates.failed, n) {
			names = append(names, name(n))
		}
	}
	if server, ok := t.(*apiServer); ok {
		for _, op := range between {
			send := func(ctx context.Context, worker, n int) error { return op.send(ctx, server, worker, names[n]) }
			if _, err := run(op.name, len(names), send); err != nil {
				return nil, err
			}
		}
	}
	_, err = run(opDelete, len(names), func(ctx context.Context, worker, n int) error { return t.delete(ctx, worker, names[n]) })
	return results, err
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
		return t.create(ctx, worker, clusterIP, fillerName(from+n))
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

func fillerName(n int) string { return fmt.Sprintf("filler-%06d", n) }
