package controllers

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/retry"
	"k8s.io/component-base/config"
	"k8s.io/klog/v2"
)

// election lets one of several processes run something.
type election struct {
	config   config.LeaderElectionConfiguration
	client   kubernetes.Interface
	recorder record.EventRecorder
	identity string
}

func newElection(config config.LeaderElectionConfiguration, client kubernetes.Interface, recorder record.EventRecorder) (*election, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name of this machine: %w", err)
	}
	return &election{config: config, client: client, recorder: recorder, identity: host + "_" + string(uuid.NewUUID())}, nil
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
	lock, err := resourcelock.New(e.config.ResourceLock, e.config.ResourceNamespace, e.config.ResourceName,
		e.client.CoreV1(), e.client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: e.identity, EventRecorder: e.recorder})
	if err != nil {
		return err
	}
	// Lead may return before the context ends, and the term with it.
	ctx, end := context.WithCancel(ctx)
	defer end()
	var leading atomic.Bool
	stopped := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:          lock,
		LeaseDuration: e.config.LeaseDuration.Duration,
		RenewDeadline: e.config.RenewDeadline.Duration,
		RetryPeriod:   e.config.RetryPeriod.Duration,
		Name:          e.config.ResourceName,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) {
				leading.Store(true)
				defer close(stopped)
				defer end()
				lead(held)
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
		e.release(ctx, lock)
	}
	return nil
}

// release gives the lease up, so that the next has not to wait for its end. It
// is no failure if that can't be told.
func (e *election) release(ctx context.Context, lock resourcelock.Interface) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.config.RenewDeadline.Duration)
	defer cancel()
	// A renewal that was under way when the context ended may be stored later.
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		record, _, err := lock.Get(ctx)
		if err != nil || record.HolderIdentity != e.identity {
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
