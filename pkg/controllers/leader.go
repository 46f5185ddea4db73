package controllers

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/retry"
	"k8s.io/component-base/config"
	"k8s.io/klog/v2"
)

// election lets one of several processes run something.
type election struct {
	config     config.LeaderElectionConfiguration
	lock       resourcelock.Interface
	leadership *Leadership
}

// newIdentity is the name of this process in an election.
func newIdentity() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("name of this machine: %w", err)
	}
	return host + "_" + string(uuid.NewUUID()), nil
}

// run runs lead whenever this process has the lease, until the context ends.
func (e *election) run(ctx context.Context, lead func(context.Context)) error {
	for ctx.Err() == nil {
		if err := e.term(ctx, lead); err != nil {
			return err
		}
	}
	return nil
}

// term waits for the lease and runs lead for as long as this process has it. It
// returns when lead has. The lease is released after that, never before, so that
// two processes don't write at a time. The elector's own ReleaseOnCancel is off:
// after it has failed to renew, it would release the lease while lead still runs.
func (e *election) term(ctx context.Context, lead func(context.Context)) error {
	// Lead may return before the context ends, and the term with it.
	ctx, end := context.WithCancel(ctx)
	defer end()
	var leading atomic.Bool
	stopped := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:          e.lock,
		LeaseDuration: e.config.LeaseDuration.Duration,
		RenewDeadline: e.config.RenewDeadline.Duration,
		RetryPeriod:   e.config.RetryPeriod.Duration,
		Name:          e.config.ResourceName,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) {
				leading.Store(true)
				defer close(stopped)
				defer end()
				e.leadership.run(held, lead)
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return err
	}
	elector.Run(ctx)
	// Without it lead, if it was about to start, finds its context ended.
	if leading.Load() {
		<-stopped
	}
	if elector.IsLeader() {
		release(ctx, e.lock, e.config.RenewDeadline.Duration)
	}
	return nil
}

// release gives a lock up, if this process has it, so that the next one need not
// wait for the end of the lease. A lock that can't be released ends by itself.
func release(ctx context.Context, lock resourcelock.Interface, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	// A renewal that was under way when the context ended may be stored later.
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		record, _, err := lock.Get(ctx)
		if err != nil || record.HolderIdentity != lock.Identity() {
			return err
		}
		now := metav1.Now()
		return lock.Update(ctx, resourcelock.LeaderElectionRecord{
			LeaderTransitions: record.LeaderTransitions, LeaseDurationSeconds: 1, RenewTime: now, AcquireTime: now,
		})
	})
	if err != nil {
		klog.FromContext(ctx).Info("The lease isn't released, and held until it ends", "lock", lock.Describe(), "err", err)
	}
}
