package etcd

import (
	"context"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/portolan-dev/portolan/pkg/etcd/quota"
)

const alarmTimeout = 2 * time.Second

// Alarms admits writes to an external etcd, which rejects a write itself when it
// is full. A dry run sends etcd no write, so Alarms checks etcd's alarms for it.
type Alarms struct {
	maintenance clientv3.Maintenance
}

// Alarms returns the store's Alarms.
func (s *Store) Alarms() Alarms { return Alarms{s.Client} }

// Admit returns etcd's ErrNoSpace for a dry run while the alarm NOSPACE is
// raised. If the alarms can't be listed, Admit assumes that there are none.
func (a Alarms) Admit(w quota.Write) error {
	if !w.DryRun {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), alarmTimeout)
	defer cancel()
	alarms, err := a.maintenance.AlarmList(ctx)
	if err == nil && slices.ContainsFunc(alarms.Alarms, func(alarm *etcdserverpb.AlarmMember) bool {
		return alarm.Alarm == etcdserverpb.AlarmType_NOSPACE
	}) {
		return rpctypes.ErrNoSpace
	}
	return nil
}

// Reject does nothing: only dry runs are rejected.
func (a Alarms) Reject(quota.Write) {}
