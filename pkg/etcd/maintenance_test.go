package etcd

import (
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/portolan-dev/portolan/pkg/etcd/quota"
)

// TestEmptyDirectoryIsSmall expects etcd to allocate little of the log ahead.
func TestEmptyDirectoryIsSmall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := start(t, dir)
	defer store.Close()
	var total int64
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("an empty data directory takes %s", quota.Text(total))
	if total > 20<<20 {
		t.Errorf("an empty data directory takes %s", quota.Text(total))
	}
}
