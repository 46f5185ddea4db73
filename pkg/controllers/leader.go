package controllers

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-base/config"
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
// returns when lead has. The lease is released after that, never before, so
// that two processes don't write at a time.
func (e *election) term(ctx context.Context, lead func(context.Context)) error {
	lock, err := resourcelock.New(e.config.ResourceLock, e.config.ResourceNamespace, e.config.ResourceName,
		e.client.CoreV1(), e.client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: e.identity, EventRecorder: e.recorder})
	if err != nil {
		return err
	}
	holding, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	var leading atomic.Bool
	stopped := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   e.config.LeaseDuration.Duration,
		RenewDeadline:   e.config.RenewDeadline.Duration,
		RetryPeriod:     e.config.RetryPeriod.Duration,
		ReleaseOnCancel: true,
		Name:            e.config.ResourceName,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) {
				leading.Store(true)
				defer close(stopped)
				defer release()
				// held ends with the lease, ctx with the process.
				held, cancel := context.WithCancel(held)
				defer cancel()
				defer context.AfterFunc(ctx, cancel)()
				lead(held)
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return err
	}
	// Who only waits for the lease has nothing to finish first.
	defer context.AfterFunc(ctx, func() {
		if !leading.Load() {
			release()
		}
	})()
	elector.Run(holding)
	if leading.Load() {
		<-stopped
	}
	return nil
}
