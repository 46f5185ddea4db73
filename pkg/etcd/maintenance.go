package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/etcd/quota"
)

const (
	// noQuota turns etcd's own quota off. At its quota etcd carries writes out and
	// says that it didn't, and rejects those that would help afterwards. The gate
	// rejects them before they are sent.
	noQuota = -1
	// walSegmentBytes is how much of the log is allocated ahead, twice. etcd's 64 MB
	// are meant for disks that hold nothing else.
	walSegmentBytes = 8 << 20

	upkeepPeriod  = time.Second
	upkeepTimeout = time.Minute
	// compactRevKey counts the compactions. Its name is upstream's (see etcd3.Compact).
	compactRevKey = "compact_rev_key"
)

// The variable is etcd's only means of setting it, and goroutines of running
// members read it.
func init() { wal.SegmentSizeBytes = walSegmentBytes }

// disarm ends the alarm of a store that reached the quota of an earlier release,
// or of the etcd that a snapshot was taken of. Until then etcd takes no writes.
func disarm(ctx context.Context, client *clientv3.Client) error {
	alarms, err := client.AlarmList(ctx)
	if err != nil {
		return fmt.Errorf("listing the alarms: %w", err)
	}
	for _, alarm := range alarms.Alarms {
		if alarm.Alarm != etcdserverpb.AlarmType_NOSPACE {
			continue
		}
		if _, err := client.AlarmDisarm(ctx, (*clientv3.AlarmMember)(alarm)); err != nil {
			return fmt.Errorf("disarming the alarm NOSPACE: %w", err)
		}
		klog.InfoS("Disarmed the alarm NOSPACE of etcd, which had reached its quota")
	}
	return nil
}

// Maintain limits an embedded store to a quota, and compacts and defragments it
// as needed until it is closed. It returns nil for an external store, which has
// a quota and an operator of its own.
func (s *Store) Maintain(limit int64) *quota.Gate {
	if s.member == nil {
		return nil
	}
	backend := s.member.Backend()
	gate := quota.NewGate(limit, func() quota.Usage {
		return quota.Usage{Size: backend.Size(), InUse: backend.SizeInUse()}
	}, time.Now)
	if full := gate.Full(); full != nil {
		klog.ErrorS(full, "The embedded etcd is full")
	}
	m := maintenance{member: s.member, client: s.Client, gate: gate}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.run(ctx)
	}()
	stop := s.stop
	s.stop = func() error {
		cancel()
		<-done
		return stop()
	}
	return gate
}

// maintenance keeps an embedded store small.
type maintenance struct {
	member *etcdserver.EtcdServer
	client *clientv3.Client
	gate   *quota.Gate
	// full is whether the log says that the store is full.
	full bool
}

func (m *maintenance) run(ctx context.Context) {
	upkeep := quota.NewUpkeep(m.gate, m.member.KV().Rev())
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		m.tell()
		task := upkeep.Next(m.member.KV().Rev())
		if task.Compact > 0 {
			if err := m.compact(ctx, task.Compact); err != nil && ctx.Err() == nil {
				klog.ErrorS(err, "Compacting the embedded etcd", "revision", task.Compact)
			}
		}
		if task.Defragment {
			m.defragment()
		}
	}, upkeepPeriod)
}

// tell logs when the store becomes full and when it has room again.
func (m *maintenance) tell() {
	full := m.gate.Full()
	if m.full == (full != nil) {
		return
	}
	m.full = full != nil
	if m.full {
		klog.ErrorS(full, "Writes that need room are rejected from now on")
		return
	}
	klog.InfoS("The embedded etcd accepts all writes again", "inUse", quota.Text(m.gate.Usage().InUse), "quota", quota.Text(m.gate.Quota()))
}

// compact drops the history before a revision, as one more of the compactors
// that share compact_rev_key: the apiserver's then learns of it.
func (m *maintenance) compact(ctx context.Context, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, upkeepTimeout)
	defer cancel()
	found, err := m.client.Get(ctx, compactRevKey)
	if err != nil {
		return err
	}
	var version int64
	for _, kv := range found.Kvs {
		version = kv.Version
	}
	_, _, _, err = etcd3.Compact(ctx, m.client, version, revision)
	if errors.Is(err, rpctypes.ErrCompacted) {
		return nil
	}
	return err
}

// defragment writes the database file anew without its free pages. Requests wait
// meanwhile.
func (m *maintenance) defragment() {
	began, before := time.Now(), m.gate.Usage()
	if err := m.member.Defragment(); err != nil {
		klog.ErrorS(err, "Defragmenting the embedded etcd, which goes on as it was")
		return
	}
	klog.InfoS("Defragmented the embedded etcd", "took", time.Since(began).Round(time.Millisecond),
		"size", quota.Text(m.gate.Usage().Size), "before", quota.Text(before.Size))
}
