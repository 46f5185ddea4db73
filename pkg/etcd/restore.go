package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	etcdsnapshot "go.etcd.io/etcd/etcdutl/v3/snapshot"

	"github.com/portolan-dev/portolan/pkg/store/snapshot"
)

// revisionBump is by how much a restored store is ahead of its snapshot. It must
// be more than has been written since, so that no revision is given out twice.
const revisionBump = 1_000_000_000

// Restore makes the store of a data directory of a snapshot. Its revisions begin
// after all that were given out before, and those count as compacted: a watch of
// before ends, rather than miss what is not there any more. The store is put in
// its place once check has found nothing wrong with it.
func Restore(ctx context.Context, file, dir string, check func(context.Context, *Store) error) (err error) {
	if err := snapshot.Check(file); err != nil {
		return err
	}
	if err := makeDir(dir); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	place := filepath.Join(dir, "etcd")
	if exists(place) {
		return fmt.Errorf("%s has a store: move that aside first, with \"mv %s %[2]s.old\"", dir, place)
	}
	work := filepath.Join(dir, "restoring")
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	made := filepath.Join(work, "etcd")
	if err := unpack(file, made); err != nil {
		return fmt.Errorf("restoring %s: %w", file, err)
	}
	store, err := StartEmbedded(ctx, work)
	if err != nil {
		return fmt.Errorf("restoring %s: %w", file, err)
	}
	if err := errors.Join(check(ctx, store), store.Close()); err != nil {
		return err
	}
	if err := os.Rename(made, place); err != nil {
		return err
	}
	return snapshot.SyncDir(dir)
}

// unpack makes the directory of a member of a snapshot.
func unpack(file, dir string) error {
	guard := newGuard(dir)
	config := embeddedConfig(dir, guard.logger())
	return guard.run(func() error {
		return etcdsnapshot.NewV3(guard.logger()).Restore(etcdsnapshot.RestoreConfig{
			SnapshotPath:        file,
			Name:                config.Name,
			OutputDataDir:       dir,
			PeerURLs:            []string{config.AdvertisePeerUrls[0].String()},
			InitialCluster:      config.InitialCluster,
			InitialClusterToken: config.InitialClusterToken,
			RevisionBump:        revisionBump,
			MarkCompacted:       true,
		})
	})
}
