package importer

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/portolan-dev/portolan/pkg/etcd"
)

// FromSnapshot reads a snapshot of a cluster's etcd, as "etcdctl snapshot save" writes it.
// The prefix is kube-apiserver's --etcd-prefix.
func FromSnapshot(ctx context.Context, file, prefix string, out io.Writer) (*Contents, error) {
	d := newDecoder(prefix)
	found := false
	values, revision, err := etcd.SnapshotValues(ctx, file, func(key string) bool {
		if !strings.HasPrefix(key, d.root) {
			return false
		}
		found = true
		_, wanted := d.kindOf(key)
		return wanted
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%s has nothing under %s: is that kube-apiserver's --etcd-prefix (--snapshot-prefix)?", file, prefix)
	}
	d.contents.Revision = revision
	progress := newProgress(out, "read", len(values))
	defer progress.end()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		d.decode(key, values[key])
		progress.add(1)
	}
	return &d.contents, nil
}

// rootOf returns the prefix of a cluster's keys.
func rootOf(prefix string) string { return path.Join("/", prefix) + "/" }
