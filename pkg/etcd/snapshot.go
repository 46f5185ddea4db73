package etcd

import (
	"context"
	"io"
)

// Snapshot streams what etcd holds, and after it the checksum of that: see
// package snapshot.
func (s *Store) Snapshot(ctx context.Context) (io.ReadCloser, error) { return s.Client.Snapshot(ctx) }
