package controllers

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Leadership is what this process knows about which process runs the
// controllers.
type Leadership struct {
	now func() time.Time

	mu     sync.Mutex
	record resourcelock.LeaderElectionRecord
	// renewed is when the holder was last seen to renew, at first when this
	// process began to look.
	renewed time.Time
	here    bool
	// alone says that there is no election.
	alone bool
}

// NewLeadership knows no leader yet.
func NewLeadership() *Leadership {
	return &Leadership{now: time.Now, renewed: time.Now()}
}

// Leader is the process that runs the controllers.
type Leader struct {
	// Identity is empty if no process has the lock.
	Identity string
	// Lease is how long the lock stays the leader's without a renewal, as the
	// leader claims; 0 if there is no election.
	Lease time.Duration
	// Silent is how long ago the leader was last seen to renew.
	Silent time.Duration
	// Here says that it is this process.
	Here bool
}

// Leader is the leader as this process last saw it.
func (l *Leadership) Leader() Leader {
	l.mu.Lock()
	defer l.mu.Unlock()
	leader := Leader{
		Identity: l.record.HolderIdentity,
		Lease:    time.Duration(l.record.LeaseDurationSeconds) * time.Second,
		Here:     l.here,
	}
	if !l.alone {
		leader.Silent = l.now().Sub(l.renewed)
	}
	return leader
}

// observe takes note of a record that was read or written.
func (l *Leadership) observe(record resourcelock.LeaderElectionRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	renewed := record.HolderIdentity != l.record.HolderIdentity || !record.RenewTime.Equal(&l.record.RenewTime)
	if record.HolderIdentity != "" && renewed {
		l.renewed = l.now()
	}
	if record.HolderIdentity == "" {
		record.LeaseDurationSeconds = 0
	}
	l.record = record
}

// run notes that this process leads while lead runs.
func (l *Leadership) run(ctx context.Context, lead func(context.Context)) {
	set := func(here bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.here = here
	}
	set(true)
	defer set(false)
	lead(ctx)
}

// runAlone notes that this process leads without an election.
func (l *Leadership) runAlone(ctx context.Context, identity string, lead func(context.Context)) {
	l.mu.Lock()
	l.alone, l.record.HolderIdentity = true, identity
	l.mu.Unlock()
	l.run(ctx, lead)
}

// checkedLock is a lock that this process only takes and keeps while it can do
// the work, and in which a lease of absurd length counts as one of MaxLease.
type checkedLock struct {
	resourcelock.Interface
	// able is an error if this process can't do the work.
	able       func(context.Context) error
	timeout    time.Duration
	leadership *Leadership
}

func (l *checkedLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	record, raw, err := l.Interface.Get(ctx)
	if err != nil {
		return nil, nil, err
	}
	l.leadership.observe(*record)
	record.LeaseDurationSeconds = min(record.LeaseDurationSeconds, int(MaxLease/time.Second))
	return record, raw, nil
}

func (l *checkedLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, record, l.Interface.Create)
}

func (l *checkedLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, record, l.Interface.Update)
}

func (l *checkedLock) write(ctx context.Context, record resourcelock.LeaderElectionRecord,
	write func(context.Context, resourcelock.LeaderElectionRecord) error) error {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	// A record without a holder releases the lock.
	if record.HolderIdentity != "" {
		if err := l.able(ctx); err != nil {
			return err
		}
	}
	if err := write(ctx, record); err != nil {
		return err
	}
	l.leadership.observe(record)
	return nil
}
