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

// previousLease is the Lease with which replicas of earlier releases elect their
// leader; this release elects in etcd. The leader holds the Lease too, so that during an
// upgrade or downgrade no earlier replica runs the controllers at the same time. The
// leader never depends on the Lease, because users can write it.
type previousLease struct {
	lock   resourcelock.Interface
	config config.LeaderElectionConfiguration
}

// run runs lead and holds the Lease meanwhile. If it takes the Lease from another
// replica, it first waits for one lease duration: that replica notices the loss within
// its renew deadline. It never waits longer, whatever the Lease says.
func (p *previousLease) run(ctx context.Context, lead func(context.Context)) {
	takenOver := false
	_ = wait.PollUntilContextTimeout(ctx, p.config.RetryPeriod.Duration, p.config.LeaseDuration.Duration, true,
		func(ctx context.Context) (bool, error) {
			fromOther, err := p.hold(ctx)
			if fromOther {
				klog.FromContext(ctx).Info("A replica of an earlier release runs the controllers; waiting until it has stopped",
					"lock", p.lock.Describe())
			}
			takenOver = takenOver || fromOther
			return err == nil && !takenOver, nil
		})
	holdCtx, stop := context.WithCancel(ctx)
	var holding sync.WaitGroup
	holding.Go(func() {
		wait.UntilWithContext(holdCtx, func(ctx context.Context) {
			if _, err := p.hold(ctx); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).V(2).Info("Failed to hold the Lease of earlier releases", "lock", p.lock.Describe(), "err", err)
			}
		}, p.config.RetryPeriod.Duration)
	})
	if ctx.Err() == nil {
		lead(ctx)
	}
	stop()
	holding.Wait()
	release(ctx, p.lock, p.config.RenewDeadline.Duration)
}

// hold acquires the Lease, or renews it once a third of its duration has passed. It
// reports whether it took an unexpired Lease from another process.
func (p *previousLease) hold(ctx context.Context) (fromOther bool, err error) {
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
