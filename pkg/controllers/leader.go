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

// election lets one process at a time run a function.
type election struct {
	config     config.LeaderElectionConfiguration
	lock       resourcelock.Interface
	leadership *Leadership
}

// newIdentity returns a unique name for this process: host name, "_" and a UUID, as in
// upstream's components.
func newIdentity() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("host name: %w", err)
	}
	return host + "_" + string(uuid.NewUUID()), nil
}

// run runs lead whenever this process holds the lease, until the context ends.
func (e *election) run(ctx context.Context, lead func(context.Context)) error {
	for ctx.Err() == nil {
		if err := e.term(ctx, lead); err != nil {
			return err
		}
	}
	return nil
}

// term waits for the lease and runs lead while this process holds it. It releases the
// lease only after lead has returned, so that two processes never write at a time. The
// elector's own ReleaseOnCancel is off: after a failed renewal it would release the
// lease while lead still runs.
func (e *election) term(ctx context.Context, lead func(context.Context)) error {
	// If lead returns early, the term ends too.
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
	// If the flag is not set, lead can only start with a context that has ended.
	if leading.Load() {
		<-stopped
	}
	if elector.IsLeader() {
		release(ctx, e.lock, e.config.RenewDeadline.Duration)
	}
	return nil
}

// release releases the lock if this process holds it, so that another process need not
// wait for the lease to expire. If that fails, the lease expires.
func release(ctx context.Context, lock resourcelock.Interface, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	// A renewal that was in flight when the context ended can be stored in between.
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
		klog.FromContext(ctx).Info("Failed to release the lease; it is held until it expires", "lock", lock.Describe(), "err", err)
	}
}
