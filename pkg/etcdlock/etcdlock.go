// Package etcdlock implements a lock for client-go's leader election with one key
// in etcd. The key is outside all prefixes that the server serves, so no user can
// write it.
package etcdlock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Lock is a key whose value names the leader. It is not safe for concurrent use;
// each elector needs its own.
type Lock struct {
	client        *clientv3.Client
	key, identity string
	// revision is the key's revision when it was last read or written.
	revision int64
}

var _ resourcelock.Interface = &Lock{}

// New returns the lock of a process with the given identity.
func New(client *clientv3.Client, key, identity string) *Lock {
	return &Lock{client: client, key: key, identity: identity}
}

// Get implements resourcelock.Interface.
func (l *Lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	answer, err := l.client.Get(ctx, l.key)
	if err != nil {
		return nil, nil, err
	}
	if len(answer.Kvs) == 0 {
		return nil, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "keys"}, l.key)
	}
	kv := answer.Kvs[0]
	var record resourcelock.LeaderElectionRecord
	if err := json.Unmarshal(kv.Value, &record); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", l.Describe(), err)
	}
	l.revision = kv.ModRevision
	return &record, kv.Value, nil
}

// Create implements resourcelock.Interface.
func (l *Lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.put(ctx, 0, record)
}

// Update implements resourcelock.Interface.
func (l *Lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.put(ctx, l.revision, record)
}

// put writes the record if the key is at the given revision, or with revision 0 if
// there is no key. Otherwise it returns a conflict.
func (l *Lock) put(ctx context.Context, revision int64, record resourcelock.LeaderElectionRecord) error {
	value, err := json.Marshal(record)
	if err != nil {
		return err
	}
	unchanged := clientv3.Compare(clientv3.ModRevision(l.key), "=", revision)
	answer, err := l.client.Txn(ctx).If(unchanged).Then(clientv3.OpPut(l.key, string(value))).Commit()
	if err != nil {
		return err
	}
	if !answer.Succeeded {
		return apierrors.NewConflict(schema.GroupResource{Resource: "keys"}, l.key, errors.New("another process has written it"))
	}
	l.revision = answer.Header.Revision
	return nil
}

// RecordEvent implements resourcelock.Interface. It does nothing: there is no
// object that an event could refer to.
func (l *Lock) RecordEvent(string) {}

// Identity implements resourcelock.Interface.
func (l *Lock) Identity() string { return l.identity }

// Describe implements resourcelock.Interface.
func (l *Lock) Describe() string { return "etcd key " + l.key }
