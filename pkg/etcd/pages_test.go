package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"google.golang.org/protobuf/proto"
)

// TestPages reads ranges in pages beside an etcd that counts on each page, while the keys
// change.
func TestPages(t *testing.T) {
	store := start(t, t.TempDir())
	defer store.Close()
	counting := v3client.New(store.member)
	for n := range 57 {
		for _, prefix := range []string{"/a/", "/b/"} {
			if _, err := counting.Put(t.Context(), fmt.Sprintf("%s%02d", prefix, n), "v"); err != nil {
				t.Fatal(err)
			}
		}
	}
	pages := newPages(counting, store.member)
	for _, limit := range []int64{1, 10, 19, 56, 57, 58} {
		t.Run(fmt.Sprint("pages of ", limit), func(t *testing.T) {
			first, err := counting.Get(t.Context(), "/a/", clientv3.WithLimit(1))
			if err != nil {
				t.Fatal(err)
			}
			compare := func(from string, revision int64) *clientv3.GetResponse {
				t.Helper()
				opts := []clientv3.OpOption{clientv3.WithRange("/a0"), clientv3.WithLimit(limit), clientv3.WithRev(revision)}
				want, err := counting.Get(t.Context(), from, opts...)
				if err != nil {
					t.Fatal(err)
				}
				got, err := pages.Get(t.Context(), from, opts...)
				if err != nil {
					t.Fatal(err)
				}
				if got.Count != want.Count || got.More != want.More || got.Header.Revision != want.Header.Revision ||
					!slices.EqualFunc(got.Kvs, want.Kvs, func(a, b *mvccpb.KeyValue) bool { return proto.Equal(a, b) }) {
					t.Fatalf("from %q at %d: got %v, want %v", from, revision, got, want)
				}
				return got
			}
			revision := int64(0)
			for from, page := "/a/", 0; from != ""; page++ {
				response := compare(from, revision)
				if from = ""; response.More {
					from = string(response.Kvs[len(response.Kvs)-1].Key) + "\x00"
				}
				if revision == 0 {
					revision = first.Header.Revision
				}
				// What changes now is in no page of this revision.
				for _, change := range []clientv3.Op{
					clientv3.OpPut("/a/00", fmt.Sprint(page)), clientv3.OpDelete("/a/30"), clientv3.OpPut("/a/new", "v"),
				} {
					if _, err := counting.Do(t.Context(), change); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// countedGets counts reads.
type countedGets struct {
	clientv3.KV
	gets int
}

func (c *countedGets) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	c.gets++
	return c.KV.Get(ctx, key, opts...)
}

// TestPagesCountOnce reads later pages without the client, which counts.
func TestPagesCountOnce(t *testing.T) {
	store := start(t, t.TempDir())
	defer store.Close()
	counting := v3client.New(store.member)
	for n := range 30 {
		if _, err := counting.Put(t.Context(), fmt.Sprintf("/a/%02d", n), "v"); err != nil {
			t.Fatal(err)
		}
	}
	counted := &countedGets{KV: counting}
	pages := newPages(counted, store.member)
	read := func(from string, revision int64, opts ...clientv3.OpOption) *clientv3.GetResponse {
		t.Helper()
		opts = append(opts, clientv3.WithRange("/a0"), clientv3.WithLimit(7), clientv3.WithRev(revision))
		page, err := pages.Get(t.Context(), from, opts...)
		if err != nil {
			t.Fatal(err)
		}
		return page
	}
	first := read("/a/", 0)
	for from, page := "/a/06\x00", first; page.More; {
		page = read(from, first.Header.Revision)
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
	if counted.gets != 1 {
		t.Errorf("%d pages were read with a count, want 1", counted.gets)
	}

	// Other reads of the same keys are etcd's.
	read("/a/06\x00", first.Header.Revision, clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
	read("/a/06\x00", first.Header.Revision, clientv3.WithKeysOnly())
	read("/a/06\x00", first.Header.Revision, clientv3.WithMinModRev(3))
	read("/a/06\x00", 0)
	if counted.gets != 5 {
		t.Errorf("%d reads were etcd's, want 5", counted.gets)
	}

	if _, err := counting.Put(t.Context(), "/b", "v"); err != nil {
		t.Fatal(err)
	}
	if _, err := counting.Compact(t.Context(), first.Header.Revision+1); err != nil {
		t.Fatal(err)
	}
	_, err := pages.Get(t.Context(), "/a/06\x00", clientv3.WithRange("/a0"), clientv3.WithLimit(7), clientv3.WithRev(first.Header.Revision))
	if !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("after a compaction: got %v", err)
	}
}
