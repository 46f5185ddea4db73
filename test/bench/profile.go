package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
)

// takeProfile writes down what Portolan spends its time on while it gets requests of one
// kind.
func (b *bench) takeProfile(ctx context.Context) error {
	if b.profile == "" {
		return nil
	}
	const seconds = "10"
	s := b.servers[len(b.servers)-1]
	log.Printf("profiling portolan for %s s", seconds)
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- b.repeat(ctx, stop, s) }()
	data, err := s.request(0, "GET", "/debug/pprof/profile").Param("seconds", seconds).SetHeader("Accept", "*/*").Do(ctx).Raw()
	close(stop)
	if err := errors.Join(err, <-ended); err != nil {
		return fmt.Errorf("profiling portolan: %w", err)
	}
	return os.WriteFile(b.profile, data, 0o644)
}

// repeat sends the requests that are profiled until stop is closed. The Services that it
// creates stay.
func (b *bench) repeat(ctx context.Context, stop <-chan struct{}, s *apiServer) error {
	const batch = 500
	clients := slices.Max(b.clients)
	at := slices.IndexFunc(operations, func(op operation) bool { return op.name == b.profiled })
	for created := 0; ; created += batch {
		select {
		case <-stop:
			return nil
		default:
		}
		_, err := drive(ctx, clients, batch, func(ctx context.Context, worker, n int) error {
			if at >= 0 && created > 0 {
				return operations[at].send(ctx, s, worker, fmt.Sprintf("profile-%06d", n))
			}
			return s.create(ctx, worker, b.kinds[0], fmt.Sprintf("profile-%06d", created+n))
		})
		if err != nil {
			return err
		}
	}
}
