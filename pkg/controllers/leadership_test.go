package controllers

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"
)

const absurd = 1<<31 - 1

func leaseLock(t *testing.T, client kubernetes.Interface, identity string) resourcelock.Interface {
	t.Helper()
	o := NewOptions().LeaderElection
	lock, err := resourcelock.New(o.ResourceLock, o.ResourceNamespace, o.ResourceName, client.CoreV1(), client.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: identity})
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// write records a holder in the Lease.
func write(t *testing.T, client kubernetes.Interface, holder string, seconds int, renewed time.Time) {
	t.Helper()
	lock := leaseLock(t, client, holder)
	record := resourcelock.LeaderElectionRecord{HolderIdentity: holder, LeaseDurationSeconds: seconds, RenewTime: metav1.NewTime(renewed)}
	if _, _, err := lock.Get(t.Context()); err != nil {
		err = lock.Create(t.Context(), record)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := lock.Update(t.Context(), record); err != nil {
		t.Fatal(err)
	}
}

func readLease(t *testing.T, client kubernetes.Interface) coordinationv1.LeaseSpec {
	t.Helper()
	o := NewOptions().LeaderElection
	lease, err := client.CoordinationV1().Leases(o.ResourceNamespace).Get(t.Context(), o.ResourceName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return lease.Spec
}

// TestLeaseOf68Years holds the lock of a cluster with a lease of 68 years. The lease
// counts as MaxLease, and its holder is reported as the leader meanwhile.
func TestLeaseOf68Years(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, leadership := fake.NewClientset(), NewLeadership()
		write(t, client, "someone-else", absurd, time.Now())
		lock := &checkedLock{
			Interface: leaseLock(t, client, "a"), check: func(context.Context) error { return nil },
			timeout: time.Second, leadership: leadership,
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		started := time.Now()
		election := election{config: NewOptions().LeaderElection, lock: lock, leadership: leadership}
		var seen Leader
		time.AfterFunc(5*time.Minute, func() { seen = leadership.Leader() })
		if err := election.run(ctx, func(context.Context) { cancel() }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took < MaxLease || took > MaxLease+time.Minute {
			t.Errorf("the lock was taken after %v, want %v", took, MaxLease)
		}
		if seen.Identity != "someone-else" || seen.Lease != absurd*time.Second || seen.Silent < 4*time.Minute || seen.Here {
			t.Errorf("after five minutes the leader is %+v", seen)
		}
	})
}

// TestUnableLeader lets the check of a leader fail while the lock is reachable. The
// leader releases the lock and acquires it only once the check succeeds again.
func TestUnableLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, leadership := fake.NewClientset(), NewLeadership()
		unableUntil := time.Time{}
		lock := &checkedLock{
			Interface: leaseLock(t, client, "a"), timeout: time.Second, leadership: leadership,
			check: func(context.Context) error {
				if time.Now().Before(unableUntil) {
					return errors.New("etcd is down")
				}
				return nil
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		terms := 0
		var lost time.Time
		election := election{config: NewOptions().LeaderElection, lock: lock, leadership: leadership}
		err := election.run(ctx, func(held context.Context) {
			if terms++; terms == 2 {
				if time.Now().Before(unableUntil) {
					t.Error("it acquired the lock while its check failed")
				}
				cancel()
				return
			}
			lost = time.Now()
			unableUntil = lost.Add(time.Minute)
			<-held.Done()
			if took := time.Since(lost); took > election.config.LeaseDuration.Duration {
				t.Errorf("it led for another %v", took)
			}
			time.AfterFunc(time.Second, func() {
				if holder := ptr.Deref(readLease(t, client).HolderIdentity, ""); holder != "" {
					t.Errorf("%q still has the lock", holder)
				}
			})
		})
		if err != nil || terms != 2 {
			t.Errorf("there were %d terms: %v", terms, err)
		}
	})
}

// TestPreviousLease starts a leader with every state of the Lease of earlier releases.
func TestPreviousLease(t *testing.T) {
	o := NewOptions().LeaderElection
	now := func(offset time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(offset) } }
	tests := map[string]struct {
		holder  string
		seconds int
		renewed func() time.Time
		waits   time.Duration
	}{
		"there is none":             {},
		"free":                      {holder: "", seconds: 1, renewed: now(0)},
		"an earlier release has it": {holder: "old", seconds: 15, renewed: now(-time.Second), waits: o.LeaseDuration.Duration},
		"it is over":                {holder: "old", seconds: 15, renewed: now(-time.Minute)},
		"somebody has it for ever":  {holder: "someone-else", seconds: absurd, renewed: now(1000 * time.Hour), waits: o.LeaseDuration.Duration},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset()
				if test.renewed != nil {
					write(t, client, test.holder, test.seconds, test.renewed())
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				started := time.Now()
				previous := previousLease{lock: leaseLock(t, client, "new"), config: o}
				previous.run(ctx, func(context.Context) {
					if waited := time.Since(started); waited != test.waits {
						t.Errorf("the controllers started after %v, want %v", waited, test.waits)
					}
					// The leader takes the Lease back, whatever is written there.
					write(t, client, "someone-else", absurd, time.Now())
					time.Sleep(2 * o.RetryPeriod.Duration)
					if holder := *readLease(t, client).HolderIdentity; holder != "new" {
						t.Errorf("%q has the Lease", holder)
					}
					// An earlier release never sees the Lease expire.
					for range 20 {
						time.Sleep(time.Second)
						lease := readLease(t, client)
						if age := time.Since(lease.RenewTime.Time); *lease.HolderIdentity != "new" || age >= o.LeaseDuration.Duration/2 {
							t.Errorf("%q has the Lease, renewed %v ago", *lease.HolderIdentity, age)
						}
					}
				})
				if holder := ptr.Deref(readLease(t, client).HolderIdentity, ""); holder != "" {
					t.Errorf("%q has the Lease after the end", holder)
				}
			})
		})
	}
}
