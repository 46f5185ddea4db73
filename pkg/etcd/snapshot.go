package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Snapshot writes what etcd holds to a file, with the checksum that etcdutl
// looks for when it restores one. The file is there when it is complete, and
// must not exist before. Its name with .part is used meanwhile.
func (s *Store) Snapshot(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists already", path)
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	part := path + ".part"
	err := s.snapshotTo(ctx, part)
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("snapshot to %s: %w", path, err), os.RemoveAll(part))
	}
	return nil
}

func (s *Store) snapshotTo(ctx context.Context, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	// An embedded etcd doesn't stop before whatever it sends has been taken, or
	// isn't wanted any more.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	snapshot, err := s.Client.Snapshot(ctx)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	defer snapshot.Close()
	if _, err = io.Copy(file, snapshot); err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
