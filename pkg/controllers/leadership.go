package controllers

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Leadership records which process runs the controllers, as far as this process
// knows. It is safe for concurrent use.
type Leadership struct {
	now func() time.Time

	mu     sync.Mutex
	record resourcelock.LeaderElectionRecord
	// renewed is the time of the last renewal that was observed. It starts at the time
	// of construction.
	renewed time.Time
	// here is set while this process leads.
	here bool
	// unelected is set if there is no election.
	unelected bool
}

// NewLeadership returns a Leadership without a leader.
func NewLeadership() *Leadership {
	return &Leadership{now: time.Now, renewed: time.Now()}
}

// Leader describes the process that runs the controllers.
type Leader struct {
	// Identity is empty if no process holds the lock.
	Identity string
	// Lease is the duration of the lease, as the leader wrote it. It is 0 if there is
	// no election.
	Lease time.Duration
	// Silent is the time since the last renewal that was observed.
	Silent time.Duration
	// Here reports whether this process is the leader.
	Here bool
}

// Leader returns the leader as this process last observed it.
func (l *Leadership) Leader() Leader {
	l.mu.Lock()
	defer l.mu.Unlock()
	leader := Leader{
		Identity: l.record.HolderIdentity,
		Lease:    time.Duration(l.record.LeaseDurationSeconds) * time.Second,
		Here:     l.here,
	}
	if !l.unelected {
		leader.Silent = l.now().Sub(l.renewed)
	}
	return leader
}

// observe records the content of the lock after a read or write.
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

// run runs lead and records that this process leads meanwhile.
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

// runWithoutElection is run for a process that leads without an election.
func (l *Leadership) runWithoutElection(ctx context.Context, identity string, lead func(context.Context)) {
	l.mu.Lock()
	l.unelected, l.record.HolderIdentity = true, identity
	l.mu.Unlock()
	l.run(ctx, lead)
}

// checkedLock is a lock that this process acquires and renews only while check
// succeeds. It reads a lease that is longer than MaxLease as one of MaxLease.
type checkedLock struct {
	resourcelock.Interface
	// check returns an error if this process cannot do the leader's work.
	check      func(context.Context) error
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
	// A record without a holder releases the lock, which needs no check.
	if record.HolderIdentity != "" {
		if err := l.check(ctx); err != nil {
			return err
		}
	}
	if err := write(ctx, record); err != nil {
		return err
	}
	l.leadership.observe(record)
	return nil
}
