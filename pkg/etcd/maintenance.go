package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/etcd/quota"
)

const (
	// noQuota turns etcd's own quota off. etcd applies the write that exceeds its
	// quota but returns an error, and then also rejects the writes that would free
	// space. quota.Gate rejects writes before they are sent.
	noQuota = -1
	// walSegmentBytes is the size of a log file. etcd allocates two of them ahead.
	// Its default, 64 MB, is meant for a disk of its own.
	walSegmentBytes = 8 << 20

	upkeepPeriod  = time.Second
	upkeepTimeout = time.Minute
	// compactRevKey is the key whose version counts the compactions. Upstream names
	// it (see etcd3.Compact).
	compactRevKey = "compact_rev_key"
)

// The segment size is set in init: etcd has only this variable for it, and the
// goroutines of a running member read it.
func init() { wal.SegmentSizeBytes = walSegmentBytes }

// disarm clears the alarm NOSPACE, because etcd rejects all writes while it is
// raised. It is left from an earlier release with a quota, or from the etcd that a
// snapshot comes from.
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
		klog.InfoS("Disarmed etcd's alarm NOSPACE, which an earlier quota had raised")
	}
	return nil
}

// Maintain returns the gate that limits an embedded store to limit bytes, and
// compacts and defragments the store as needed until it is closed. It returns nil
// for an external store, which has its own quota and operator.
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
	m := maintenance{store: s, gate: gate}
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
	store *Store
	gate  *quota.Gate
	// loggedFull records that the last log line called the store full.
	loggedFull bool
}

func (m *maintenance) run(ctx context.Context) {
	upkeep := quota.NewUpkeep(m.gate, m.store.member.KV().Rev())
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		m.logFull()
		task := upkeep.Next(m.store.member.KV().Rev())
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

// logFull logs when the store becomes full and when it has room again.
func (m *maintenance) logFull() {
	full := m.gate.Full()
	if m.loggedFull == (full != nil) {
		return
	}
	m.loggedFull = full != nil
	if m.loggedFull {
		klog.ErrorS(full, "Rejecting writes that need more space")
		return
	}
	klog.InfoS("The embedded etcd accepts all writes again", "inUse", quota.Text(m.gate.Usage().InUse), "quota", quota.Text(m.gate.Quota()))
}

// compact drops the history before a revision. It updates compact_rev_key as the
// apiserver's own compactor does, which learns of the compaction that way.
func (m *maintenance) compact(ctx context.Context, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, upkeepTimeout)
	defer cancel()
	found, err := m.store.Client.Get(ctx, compactRevKey)
	if err != nil {
		return err
	}
	var version int64
	for _, kv := range found.Kvs {
		version = kv.Version
	}
	_, _, _, err = etcd3.Compact(ctx, m.store.Client, version, revision)
	if errors.Is(err, rpctypes.ErrCompacted) {
		return nil
	}
	return err
}

// defragment rewrites the database file without its free pages. Requests wait
// meanwhile.
func (m *maintenance) defragment() {
	m.store.defragmenting.Store(true)
	defer m.store.defragmenting.Store(false)
	began, before := time.Now(), m.gate.Usage()
	if err := m.store.member.Defragment(); err != nil {
		klog.ErrorS(err, "Defragmenting the embedded etcd failed, its file is unchanged")
		return
	}
	klog.InfoS("Defragmented the embedded etcd", "took", time.Since(began).Round(time.Millisecond),
		"size", quota.Text(m.gate.Usage().Size), "sizeBefore", quota.Text(before.Size))
}
