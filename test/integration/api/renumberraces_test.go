package api

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// writers is how many clients write while ranges change.
const writers = 32

// TestRenumberAgainstWriters moves Services to another range and back on one replica, while
// clients of the other one change, delete and create them.
func TestRenumberAgainstWriters(t *testing.T) {
	t.Parallel()
	const rounds = 4
	store, replicas := framework.Replicas(t, 2, withRanges("30000-30199", oldCIDR))
	createCIDR(t, replicas[0], "new", onRequest, newCIDR)
	createPorts(t, replicas[0], "new", v1.AllocationOnRequest, "31000-31199")
	var moved, gone atomic.Int32
	var all sync.WaitGroup
	for i := range writers {
		name, here, there := fmt.Sprint("web-", i), replicas[i%2], replicas[(i+1)%2]
		all.Go(func() {
			for round := range rounds {
				if _, err := servicesOf(here).Create(t.Context(), serviceWith(name, onNodePort(0)), metav1.CreateOptions{}); err != nil {
					t.Errorf("create of %s: %v", name, err)
					return
				}
				var both sync.WaitGroup
				both.Go(func() { moveThereAndBack(t, there, name, &moved, &gone) })
				for n := range 4 {
					body := fmt.Appendf(nil, `{"metadata":{"labels":{"n":"%d-%d"}}}`, round, n)
					if _, err := servicesOf(here).Patch(t.Context(), name, types.MergePatchType, body, metav1.PatchOptions{}); err != nil {
						t.Errorf("patch of %s: %v", name, err)
					}
				}
				if i%2 == 0 {
					both.Wait()
				}
				if err := servicesOf(here).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
					t.Errorf("delete of %s: %v", name, err)
				}
				both.Wait()
			}
		})
	}
	all.Wait()
	t.Logf("%d values moved; a Service was gone %d times", moved.Load(), gone.Load())
	if moved.Load() == 0 {
		t.Error("nothing was moved")
	}
	framework.Verify(t, store.Client)
	expectAllocated(t, replicas, []int64{0}, 0)
}

// moveThereAndBack stops when the Service is gone.
func moveThereAndBack(t *testing.T, server *framework.Server, name string, moved, gone *atomic.Int32) {
	t.Helper()
	for _, spec := range []v1.RenumberingSpec{movingCIDR("new"), movingPorts("new"), back(movingCIDR("new")), back(movingPorts("new"))} {
		moves, err := renumber(t.Context(), server, name, spec)
		switch {
		case apierrors.IsNotFound(err), apierrors.IsConflict(err):
			gone.Add(1)
			return
		case err != nil:
			t.Errorf("%s to %s: %v", name, spec.To, err)
			return
		}
		moved.Add(int32(len(moves)))
	}
}

// TestMovesHaveOneWinner moves one Service on two replicas at the same time. It moves once.
func TestMovesHaveOneWinner(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, withRanges(oldPorts, oldCIDR))
	createCIDR(t, replicas[0], "new", onRequest, newCIDR)
	for round := range 10 {
		name := fmt.Sprint("web-", round)
		if _, err := servicesOf(replicas[0]).Create(t.Context(), serviceWith(name), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		revision := revisionOf(t, store)
		var moved atomic.Int32
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() { moved.Add(int32(len(mustMove(t, replicas[i%2], name)))) })
		}
		all.Wait()
		if writes := revisionOf(t, store) - revision; moved.Load() != 1 || writes != 1 {
			t.Errorf("round %d: moved %d times, with %d writes", round, moved.Load(), writes)
		}
	}
	framework.Verify(t, store.Client)
}

// mustMove is for goroutines, which can't end a test.
func mustMove(t *testing.T, server *framework.Server, name string) []v1.ValueMove {
	t.Helper()
	moves, err := renumber(t.Context(), server, name, movingCIDR("new"))
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return moves
}

// writing has clients of all replicas create and delete Services until it is stopped. Every
// Service must be accepted.
func writing(t *testing.T, replicas []*framework.Server) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var all sync.WaitGroup
	for i := range writers {
		services := servicesOf(replicas[i%len(replicas)])
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				name := fmt.Sprintf("written-%d-%d", i, n)
				if _, err := services.Create(t.Context(), serviceWith(name, onNodePort(0)), metav1.CreateOptions{}); err != nil {
					t.Errorf("create of %s: %v", name, err)
					return
				}
				if err := services.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
					t.Errorf("delete of %s: %v", name, err)
					return
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(done); all.Wait() })
}

// deleteRange retries while claims come in faster than they can be read.
func deleteRange(t *testing.T, what string, remove func(context.Context) error) {
	t.Helper()
	framework.Eventually(t, what+" is deleted", func(ctx context.Context) (bool, error) {
		err := remove(ctx)
		return err == nil || apierrors.IsNotFound(err), err
	})
}

// TestResizeWhileClientsWrite grows ranges, splits them in two and merges them again, as
// renumbering.md says, while clients write. No client notices.
func TestResizeWhileClientsWrite(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, withRanges("30000-30099", "10.96.0.0/24"))
	client, ctx := replicas[0].Client.PortolanV1(), t.Context()
	kept, err := servicesOf(replicas[0]).Create(ctx, serviceWith("kept", onNodePort(30050), onAddresses("10.96.0.5")), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stop := writing(t, replicas)
	defer stop()
	setPorts := func(name, ports string) {
		t.Helper()
		body := fmt.Appendf(nil, `{"spec":{"ports":[%q]}}`, ports)
		framework.Eventually(t, name+" is "+ports, func(ctx context.Context) (bool, error) {
			_, err := client.NodePortRanges().Patch(ctx, name, types.MergePatchType, body, metav1.PatchOptions{})
			return err == nil, err
		})
	}
	remove := func(name string) {
		t.Helper()
		deleteRange(t, name, func(ctx context.Context) error {
			return client.ServiceCIDRs().Delete(ctx, name, metav1.DeleteOptions{})
		})
	}
	// Grow: a larger range, then without the smaller one.
	createCIDR(t, replicas[0], "grown", nil, "10.96.0.0/23")
	remove(v1.DefaultRangeName)
	setPorts(v1.DefaultRangeName, "30000-30199")
	// Split: both halves, then without the whole.
	createCIDR(t, replicas[1], "half-a", nil, "10.96.0.0/24")
	createCIDR(t, replicas[1], "half-b", nil, "10.96.1.0/24")
	remove("grown")
	createPorts(t, replicas[1], "half-b", v1.AllocationAutomatic, "30100-30199")
	setPorts(v1.DefaultRangeName, "30000-30099")
	// Merge: the whole, then without the halves.
	createCIDR(t, replicas[0], "whole", nil, "10.96.0.0/23")
	remove("half-a")
	remove("half-b")
	setPorts(v1.DefaultRangeName, "30000-30199")
	deleteRange(t, "half-b", func(ctx context.Context) error {
		return client.NodePortRanges().Delete(ctx, "half-b", metav1.DeleteOptions{})
	})
	stop()
	expectLike(t, readService(t, replicas[1], "kept"), kept)
	if err := client.ServiceCIDRs().Delete(ctx, "whole", metav1.DeleteOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("the only range that has a Service's address was deleted: %v", err)
	}
	expectQuiet(t, store)
}
