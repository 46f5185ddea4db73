package storage

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/portolan-dev/portolan/pkg/etcd/etcdtest"
)

// TestProgressFollowsEvents begins watches at an earlier revision right after requests
// for progress. None of them reports progress before it has delivered its events.
func TestProgressFollowsEvents(t *testing.T) {
	t.Parallel()
	client := etcdtest.Start(t).Client
	watcher := newStreams(client.Watcher, "pods")
	// etcd answers requests for progress on a stream with a watch.
	watcher.Watch(t.Context(), "/idle")
	put, err := client.Put(t.Context(), "/pods/a", "")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		for range 4 {
			if err := watcher.RequestProgress(ctx); err != nil {
				t.Fatal(err)
			}
		}
		response := <-watcher.Watch(ctx, "/pods/a", clientv3.WithRev(put.Header.Revision))
		cancel()
		if len(response.Events) != 1 {
			t.Fatalf("the first response of a watch from revision %d is %+v", put.Header.Revision, response)
		}
	}
}
