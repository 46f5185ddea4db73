package verify

import (
	"context"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// interferingKV writes objects after every read that the next read must not return.
type interferingKV struct {
	clientv3.KV
	t       *testing.T
	compact bool
}

func (kv *interferingKV) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	answer, err := kv.KV.Get(ctx, key, opts...)
	for _, late := range []string{"services/default/late", "nodeports/99999", "nodeports/5000"} {
		written, err := kv.Put(ctx, "/registry/portolan.dev/"+late, "not there at the revision of the first page")
		if err != nil {
			kv.t.Error(err)
			continue
		}
		if kv.compact {
			if _, err := kv.Compact(ctx, written.Header.Revision); err != nil {
				kv.t.Error(err)
			}
		}
	}
	return answer, err
}
