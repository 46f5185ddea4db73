package atomicwatch

import (
	"maps"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func etcdEvents(revisions ...int64) []*clientv3.Event {
	var events []*clientv3.Event
	for _, revision := range revisions {
		events = append(events, &clientv3.Event{Kv: &mvccpb.KeyValue{ModRevision: revision}})
	}
	return events
}

func TestBatchSizes(t *testing.T) {
	t.Parallel()
	_, sizes := withBatchSizes(t.Context())
	sizes.record(nil)
	sizes.record(etcdEvents(2))
	sizes.record(etcdEvents(3, 3, 4, 5, 5, 5))
	sizes.record(etcdEvents(6, 6))
	if want := map[uint64]int{3: 2, 5: 3, 6: 2}; !maps.Equal(sizes.sizes, want) {
		t.Errorf("sizes are %v, want %v", sizes.sizes, want)
	}
	for _, want := range []int{3, 0} {
		if n := sizes.take(5); n != want {
			t.Errorf("took %d, want %d", n, want)
		}
	}
}
