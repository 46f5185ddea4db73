package etcd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coreos/go-semver/semver"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.uber.org/zap"
)

// databaseLockTimeout is how long to wait for another process to release the
// database. etcd would wait forever.
const databaseLockTimeout = time.Second

// errNewer means that a later version of etcd wrote the store.
var errNewer = errors.New("was written by a later etcd")

// inspect checks a member's directory before etcd opens it. It finds the damage
// that etcd would crash on, wait for, or take for an empty store. etcd reports all
// other damage itself (see fatalHandler). inspect reads the whole database, as etcd does
// next.
func inspect(dir string) error {
	database, log := filepath.Join(dir, "member", "snap", "db"), filepath.Join(dir, "member", "wal")
	if err := readable(dir, filepath.Dir(database), log); err != nil {
		return err
	}
	info, err := os.Stat(database)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !wal.Exist(log) && !exists(filepath.Join(dir, "member")):
		return nil // an empty directory for a new store
	case errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0:
		// etcd would rebuild the store from the log, which may not have all of it.
		return fmt.Errorf("the database %s is missing or empty", database)
	case err != nil:
		return err
	case !wal.Exist(log):
		return fmt.Errorf("the write-ahead log in %s is missing", log)
	}
	return compare(dir, database, info.Size(), log)
}

// compare reads the database and the log, and fails if the log ends before the
// last entry that the database has applied. etcd would start then, but skip new
// writes until their indexes exceed the database's.
func compare(dir, database string, size int64, log string) error {
	var applied, logged uint64
	fatal := newFatalHandler(dir)
	err := fatal.run(func() (err error) {
		applied, err = readDatabase(database, size)
		return err
	})
	if err != nil {
		return fmt.Errorf("the database %s: %w", database, err)
	}
	err = fatal.run(func() (err error) {
		logged, err = lastIndex(log, fatal.logger())
		return err
	})
	if err != nil {
		return fmt.Errorf("the write-ahead log in %s: %w", log, err)
	}
	if logged < applied {
		return fmt.Errorf("the write-ahead log in %s has lost its end: it ends with entry %d, and the database has entry %d", log, logged,
			applied)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// readable returns an error if a directory exists but can't be read.
func readable(dirs ...string) error {
	for _, dir := range dirs {
		if _, err := os.ReadDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// readDatabase reads every key of a database, and then the list of its free pages,
// which etcd reads in a separate goroutine. It returns the index of the last log
// entry that the database has applied. Like the library, it panics on an invalid
// page.
func readDatabase(path string, size int64) (applied uint64, err error) {
	err = viewDatabase(path, bolt.Options{}, func(tx *bolt.Tx) error {
		if tx.Size() > size {
			return fmt.Errorf("it is truncated to %d of %d bytes", size, tx.Size())
		}
		meta := tx.Bucket(schema.Meta.Name())
		if meta == nil {
			return errors.New("it is not etcd's database")
		}
		if err := checkVersion(meta); err != nil {
			return err
		}
		if value := meta.Get(schema.MetaConsistentIndexKeyName); len(value) == 8 {
			applied = binary.BigEndian.Uint64(value)
		}
		return tx.ForEach(func(_ []byte, bucket *bolt.Bucket) error { return readBucket(bucket) })
	})
	if err != nil {
		return 0, err
	}
	return applied, viewDatabase(path, bolt.Options{PreLoadFreelist: true}, func(*bolt.Tx) error { return nil })
}

func viewDatabase(path string, options bolt.Options, view func(*bolt.Tx) error) error {
	options.ReadOnly, options.Timeout, options.FreelistType = true, databaseLockTimeout, bolt.FreelistMapType
	db, err := bolt.Open(path, 0o600, &options)
	if err != nil {
		return err
	}
	return errors.Join(db.View(view), db.Close())
}

func checkVersion(meta *bolt.Bucket) error {
	text := string(meta.Get(schema.MetaStorageVersionName))
	stored, err := semver.NewVersion(text)
	if err != nil {
		return nil //nolint:nilerr // etcd before 3.6 wrote none.
	}
	known := semver.Must(semver.NewVersion(version.Version))
	if stored.Major > known.Major || stored.Major == known.Major && stored.Minor > known.Minor {
		return fmt.Errorf("it %w: %d.%d, and this is %d.%d", errNewer, stored.Major, stored.Minor, known.Major, known.Minor)
	}
	return nil
}

func readBucket(bucket *bolt.Bucket) error {
	var before []byte
	return bucket.ForEach(func(key, _ []byte) error {
		if before != nil && bytes.Compare(before, key) >= 0 {
			return errors.New("its keys are out of order")
		}
		before = key
		return nil
	})
}

// lastIndex returns the index of the last entry in a write-ahead log. It ignores a
// record that a crash left half written.
func lastIndex(dir string, logger *zap.Logger) (uint64, error) {
	snapshots, err := wal.ValidSnapshotEntries(logger, dir)
	if err != nil {
		return 0, err
	}
	from := &walpb.Snapshot{}
	if n := len(snapshots); n > 0 {
		from = snapshots[n-1]
	}
	log, err := wal.OpenForRead(logger, dir, from)
	if err != nil {
		return 0, err
	}
	// A log that is open for reading has no directory to close, and Close says so.
	defer func() { _ = log.Close() }()
	_, _, entries, err := log.ReadAll()
	if err != nil {
		return 0, err
	}
	if n := len(entries); n > 0 {
		return entries[n-1].GetIndex(), nil
	}
	return from.GetIndex(), nil
}

// startError adds to an error of a member that doesn't start in its existing
// directory what the user can do.
func startError(err error, dir string) error {
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, errNotElected):
		return err
	case errors.Is(err, errNewer):
		return fmt.Errorf("%w: run a later release of Portolan", err)
	case causedBy(err, syscall.ENOSPC, syscall.EDQUOT):
		return fmt.Errorf("%w: free space on the file system of %s and start again; no acknowledged write is lost", err, dir)
	case causedBy(err, syscall.EACCES, syscall.EPERM, syscall.EROFS):
		return fmt.Errorf("%w: the server's user (uid %d) must own all of %s and be able to write there", err, os.Getuid(), dir)
	case errors.Is(err, bolterrors.ErrTimeout) || errors.Is(err, fileutil.ErrLocked):
		return fmt.Errorf("%w: another process has it open: stop that one first", err)
	}
	return fmt.Errorf("%w; the store is damaged: move %s aside and restore a backup with \"portolan restore FILE --data-dir=%s\"",
		err, dir, filepath.Dir(dir))
}
