package etcd

import (
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"google.golang.org/protobuf/proto"

	"github.com/portolan-dev/portolan/pkg/store/snapshot"
)

// SnapshotValues returns the newest value of each wanted key of a snapshot, and the
// snapshot's revision. It opens the file read-only, and fails if its checksum is wrong.
func SnapshotValues(ctx context.Context, file string, wanted func(key string) bool) (values map[string][]byte, revision int64, err error) {
	if err := snapshot.Check(file); err != nil {
		return nil, 0, err
	}
	db, err := bolt.Open(file, 0o400, &bolt.Options{ReadOnly: true})
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", file, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	values = map[string][]byte{}
	err = db.View(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(schema.Key.Name())
		if bucket == nil {
			return errors.New("it has no keys of etcd")
		}
		// The keys of the database are revisions, in their order. A deletion has a value too.
		return bucket.ForEach(func(k, v []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			revision = mvcc.BytesToRev(k).Main
			var kv mvccpb.KeyValue
			if err := proto.Unmarshal(v, &kv); err != nil {
				return fmt.Errorf("the value of revision %d can't be read: %w", revision, err)
			}
			switch key := string(kv.Key); {
			case mvcc.IsTombstone(k):
				delete(values, key)
			case wanted(key):
				values[key] = kv.Value
			}
			return nil
		})
	})
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", file, err)
	}
	return values, revision, nil
}
