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

// revisionBump is added to the revision of a restored store. It must exceed the
// number of writes since the snapshot, so that no revision is used twice.
const revisionBump = 1_000_000_000

// Restore writes the snapshot in file into the data directory dir and fails if dir
// already has a store. The restored store's revisions start after all that were
// used before, and the earlier ones count as compacted: an older watch ends instead
// of missing the objects that are gone. If check fails on the restored store,
// Restore leaves dir without one.
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
	target := filepath.Join(dir, "etcd")
	if exists(target) {
		return fmt.Errorf("%s has a store: move that aside first, with \"mv %s %[2]s.old\"", dir, target)
	}
	work := filepath.Join(dir, "restoring")
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	restored := filepath.Join(work, "etcd")
	if err := unpack(file, restored); err != nil {
		return fmt.Errorf("restoring %s: %w", file, err)
	}
	store, err := StartEmbedded(ctx, work)
	if err != nil {
		return fmt.Errorf("restoring %s: %w", file, err)
	}
	if err := errors.Join(check(ctx, store), store.Close()); err != nil {
		return err
	}
	if err := os.Rename(restored, target); err != nil {
		return err
	}
	return snapshot.SyncDir(dir)
}

// unpack writes a snapshot into dir as the directory of a member.
func unpack(file, dir string) error {
	fatal := newFatalHandler(dir)
	config := embeddedConfig(dir, fatal.logger())
	return fatal.run(func() error {
		return etcdsnapshot.NewV3(fatal.logger()).Restore(etcdsnapshot.RestoreConfig{
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
