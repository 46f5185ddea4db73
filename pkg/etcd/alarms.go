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

// Alarms admit writes to an external etcd, which says itself when it is full. A
// dry run writes nothing that etcd could reject, so for one they are looked at.
type Alarms struct {
	maintenance clientv3.Maintenance
}

// Alarms are those of the store.
func (s *Store) Alarms() Alarms { return Alarms{s.Client} }

// Admit returns etcd's error for a dry run while etcd has the alarm of a full
// store. An etcd that doesn't tell its alarms has none.
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
