package storage

import (
	"context"
	"fmt"
	"slices"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
)

// streams gives each watch of a store a gRPC stream of its own.
//
// The etcd client puts watches of equal metadata on one stream, and hands every report of
// progress on a stream to all of its watches. etcd may report progress, begin a watch at
// an earlier revision, and send the two answers in the reverse order. To the client, the
// new watch then has reached a revision whose events are still to come: a watch cache
// answers reads without these objects, and never gets them if the watch ends before they
// arrive.
type streams struct {
	clientv3.Watcher
	// store distinguishes the streams from those of other stores that use the client.
	store string

	mu   sync.RWMutex
	last int
	// open are the contexts of the open watches, by the metadata that they came with.
	open map[string][]context.Context
}

func newStreams(inner clientv3.Watcher, store string) *streams {
	return &streams{Watcher: inner, store: store, open: map[string][]context.Context{}}
}

// Watch implements clientv3.Watcher. The watch lasts as long as its context.
func (s *streams) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	own, end := s.begin(ctx)
	context.AfterFunc(ctx, end)
	return s.Watcher.Watch(own, key, opts...)
}

// begin returns the context of a new stream, and a function that ends it. The stream ends
// after its last request for progress, since the client begins a stream for a request that
// comes too late.
func (s *streams) begin(ctx context.Context) (own context.Context, end func()) {
	shared := metadataOf(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	watch := metadata.AppendToOutgoingContext(ctx, "watch", fmt.Sprintf("%s %d", s.store, s.last))
	s.open[shared] = append(s.open[shared], watch)
	own, cancel := context.WithCancel(context.WithoutCancel(watch))
	return own, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open[shared] = slices.DeleteFunc(s.open[shared], func(other context.Context) bool { return other == watch })
		if len(s.open[shared]) == 0 {
			delete(s.open, shared)
		}
		cancel()
	}
}

// RequestProgress implements clientv3.Watcher. It asks for the progress of the open
// watches that have the metadata of the context.
func (s *streams) RequestProgress(ctx context.Context) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, watch := range s.open[metadataOf(ctx)] {
		if err := s.Watcher.RequestProgress(watch); err != nil && watch.Err() == nil {
			return err
		}
	}
	return nil
}

// metadataOf tells contexts apart as the etcd client does.
func metadataOf(ctx context.Context) string {
	sent, _ := metadata.FromOutgoingContext(ctx)
	return fmt.Sprint(sent)
}
