package controllers

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"
)

// TestStopsBeforeRelease ends a term in either way while lead still runs, and wants
// the lease to stay held until lead has returned.
func TestStopsBeforeRelease(t *testing.T) {
	tests := map[string]func(end context.CancelFunc, refuse *atomic.Bool){
		"the process ends":           func(end context.CancelFunc, _ *atomic.Bool) { end() },
		"the lease can't be renewed": func(_ context.CancelFunc, refuse *atomic.Bool) { refuse.Store(true) },
	}
	for name, stop := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, refuse := fake.NewClientset(), &atomic.Bool{}
			cluster.PrependReactor("update", "leases", func(action clienttesting.Action) (bool, runtime.Object, error) {
				lease := action.(clienttesting.UpdateAction).GetObject().(*coordinationv1.Lease)
				// A renewal; a release has no holder.
				return refuse.Load() && *lease.Spec.HolderIdentity != "", nil, errors.New("the cluster is down")
			})
			config := NewOptions().LeaderElection
			config.LeaseDuration = metav1.Duration{Duration: 3 * time.Second}
			config.RenewDeadline = metav1.Duration{Duration: 200 * time.Millisecond}
			config.RetryPeriod = metav1.Duration{Duration: 20 * time.Millisecond}
			lock, err := resourcelock.New(config.ResourceLock, config.ResourceNamespace, config.ResourceName,
				cluster.CoreV1(), cluster.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: "a"})
			if err != nil {
				t.Fatal(err)
			}
			election := election{config: config, lock: lock, leadership: NewLeadership()}
			holder := func() string {
				lease, err := cluster.CoordinationV1().Leases(config.ResourceNamespace).Get(context.Background(), config.ResourceName,
					metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				return ptr.Deref(lease.Spec.HolderIdentity, "")
			}

			ctx, end := context.WithCancel(t.Context())
			defer end()
			terms := 0
			err = election.run(ctx, func(held context.Context) {
				if terms++; terms > 1 {
					t.Error("there was a second term")
				}
				stop(end, refuse)
				<-held.Done()
				if got := holder(); got != "a" {
					t.Errorf("%q has the lease while the previous leader still runs", got)
				}
				end()
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := holder(); got != "" || terms != 1 {
				t.Errorf("after %d terms %q has the lease", terms, got)
			}
		})
	}
}
