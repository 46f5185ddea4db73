// Package snapshot writes and checks snapshot files. A snapshot is etcd's database
// followed by its SHA-256 checksum, the format that "etcdctl snapshot save" writes
// and "etcdutl snapshot restore" reads.
package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Path is the URL path at which a server serves a snapshot of its embedded etcd.
const Path = "/store/snapshot"

// sector divides the size of every database, in bytes.
const sector = 512

// Source opens a stream of a database followed by its checksum.
type Source func(context.Context) (io.ReadCloser, error)

// Save writes a snapshot to path and returns its size in bytes. It fails if path
// exists. It writes to path with the suffix .part, and renames that once the
// snapshot is complete and its checksum is right.
func Save(ctx context.Context, path string, source Source) (size int64, err error) {
	if _, err := os.Lstat(path); err == nil {
		return 0, fmt.Errorf("%s exists already", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	part := path + ".part"
	size, err = write(ctx, part, source)
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("snapshot to %s: %w", path, err), os.RemoveAll(part))
	}
	return size, SyncDir(filepath.Dir(path))
}

func write(ctx context.Context, path string, source Source) (int64, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	// An embedded etcd sends until its stream is read to the end or canceled, and
	// doesn't stop before.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := source(ctx)
	if err != nil {
		return 0, errors.Join(err, file.Close())
	}
	defer stream.Close()
	sum := newChecksum()
	size, err := io.Copy(file, io.TeeReader(stream, sum))
	if err == nil {
		err = sum.check()
	}
	if err == nil {
		err = file.Sync()
	}
	return size, errors.Join(err, file.Close())
}

// Check reads the snapshot at path and fails if its checksum is wrong.
func Check(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	sum := newChecksum()
	if _, err = io.Copy(sum, file); err == nil {
		err = sum.check()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// SyncDir syncs a directory, so that a rename in it survives a crash of the
// machine.
func SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// checksum hashes a snapshot that is written to it and compares the hash with the
// checksum at the end.
type checksum struct {
	hash hash.Hash
	// end holds the last bytes so far, which may be the checksum.
	end  []byte
	size int64
}

func newChecksum() *checksum { return &checksum{hash: sha256.New()} }

// Write implements io.Writer.
func (c *checksum) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	c.end = append(c.end, p...)
	if before := len(c.end) - sha256.Size; before > 0 {
		c.hash.Write(c.end[:before])
		c.end = append(c.end[:0], c.end[before:]...)
	}
	return len(p), nil
}

func (c *checksum) check() error {
	switch {
	case c.size%sector != sha256.Size:
		return fmt.Errorf("it is not a whole snapshot: its %d bytes don't end with a checksum", c.size)
	case !bytes.Equal(c.end, c.hash.Sum(nil)):
		return errors.New("the snapshot is damaged: its checksum is wrong")
	}
	return nil
}
