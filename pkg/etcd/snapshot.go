package etcd

import (
	"context"
	"io"
)

// Snapshot streams etcd's database, followed by its checksum (see package
// snapshot).
func (s *Store) Snapshot(ctx context.Context) (io.ReadCloser, error) { return s.Client.Snapshot(ctx) }
