package controllers

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/component-base/config"
	"k8s.io/klog/v2"
)

// previousLease is the Lease by which replicas of earlier releases elect, where
// this release elects in etcd. The leader keeps it, so that during an upgrade or
// a downgrade no such replica runs the controllers too. Nothing of the leader's
// own depends on it: users can write it.
type previousLease struct {
	lock   resourcelock.Interface
	config config.LeaderElectionConfiguration
}

// run runs lead while the Lease is kept. A replica that had the Lease notices
// within its renew deadline that it lost it, so lead waits for a lease duration
// then, and for no longer whatever is in the Lease.
func (p *previousLease) run(ctx context.Context, lead func(context.Context)) {
	taken := false
	_ = wait.PollUntilContextTimeout(ctx, p.config.RetryPeriod.Duration, p.config.LeaseDuration.Duration, true,
		func(ctx context.Context) (bool, error) {
			fromOther, err := p.keep(ctx)
			if fromOther {
				klog.FromContext(ctx).Info("A replica of an earlier release runs the controllers; waiting until it has stopped",
					"lock", p.lock.Describe())
			}
			taken = taken || fromOther
			return err == nil && !taken, nil
		})
	keepCtx, stop := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() {
		wait.UntilWithContext(keepCtx, func(ctx context.Context) {
			if _, err := p.keep(ctx); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).V(2).Info("The Lease of earlier releases isn't kept", "lock", p.lock.Describe(), "err", err)
			}
		}, p.config.RetryPeriod.Duration)
	})
	if ctx.Err() == nil {
		lead(ctx)
	}
	stop()
	keeping.Wait()
	release(ctx, p.lock, p.config.RenewDeadline.Duration)
}

// keep makes the Lease this process's if it isn't, and renews it now and then.
// It says whether another process had it, and renewed it a short while ago.
func (p *previousLease) keep(ctx context.Context) (fromOther bool, err error) {
	now := metav1.Now()
	wanted := resourcelock.LeaderElectionRecord{
		HolderIdentity: p.lock.Identity(), LeaseDurationSeconds: int(p.config.LeaseDuration.Seconds()), AcquireTime: now, RenewTime: now,
	}
	record, _, err := p.lock.Get(ctx)
	if apierrors.IsNotFound(err) {
		return false, p.lock.Create(ctx, wanted)
	}
	if err != nil {
		return false, err
	}
	age := now.Sub(record.RenewTime.Time)
	switch record.HolderIdentity {
	case wanted.HolderIdentity:
		if age < p.config.LeaseDuration.Duration/3 {
			return false, nil
		}
		wanted.AcquireTime, wanted.LeaderTransitions = record.AcquireTime, record.LeaderTransitions
	case "":
		wanted.LeaderTransitions = record.LeaderTransitions + 1
	default:
		wanted.LeaderTransitions = record.LeaderTransitions + 1
		fromOther = age < time.Duration(record.LeaseDurationSeconds)*time.Second
	}
	return fromOther, p.lock.Update(ctx, wanted)
}
