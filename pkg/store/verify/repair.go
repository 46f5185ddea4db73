package verify

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
)

// Repairer applies repairs to a store.
type Repairer struct {
	KV clientv3.KV
	// Prefix is the server's --etcd-prefix.
	Prefix string
	// Encode returns the value that a server stores for an object.
	Encode func(ctx context.Context, resource, name string, object runtime.Object) ([]byte, error)
}

// Apply writes a repair in one transaction. It reports false, and writes nothing,
// if an object that the repair relies on has changed since it was planned.
func (r Repairer) Apply(ctx context.Context, repair Repair) (applied bool, err error) {
	root := rootOf(r.Prefix)
	var compares []clientv3.Cmp
	for key, version := range repair.guards {
		var revision int64
		if version != "" {
			if revision, err = strconv.ParseInt(version, 10, 64); err != nil {
				return false, fmt.Errorf("the resource version of %s: %w", key, err)
			}
		}
		compares = append(compares, clientv3.Compare(clientv3.ModRevision(root+key), "=", revision))
	}
	write := clientv3.OpDelete(root + repair.key)
	if repair.claim != nil {
		resource, name, _ := strings.Cut(repair.key, "/")
		value, err := r.Encode(ctx, resource, name, repair.claim)
		if err != nil {
			return false, err
		}
		write = clientv3.OpPut(root+repair.key, string(value))
	}
	response, err := r.KV.Txn(ctx).If(compares...).Then(write).Commit()
	if err != nil {
		return false, fmt.Errorf("writing %s: %w", repair.key, err)
	}
	return response.Succeeded, nil
}
