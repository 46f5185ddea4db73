package quotas

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

const clients = 32

// createConcurrently has clients of all servers create Services, each a number of them, and
// returns how many were created.
func createConcurrently(t *testing.T, servers []*framework.Server, prefix string, each int) int64 {
	t.Helper()
	var created atomic.Int64
	var all sync.WaitGroup
	for client := range clients {
		services := servicesOf(servers[client%len(servers)])
		all.Go(func() {
			for i := range each {
				svc := service(fmt.Sprintf("%s-%d-%d", prefix, client, i), corev1.ServiceTypeNodePort, 1)
				switch _, err := services.Create(t.Context(), svc, metav1.CreateOptions{}); {
				case err == nil:
					created.Add(1)
				case !apierrors.IsForbidden(err):
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	return created.Load()
}

// TestExactly has clients of two replicas create more Services than a quota allows. Exactly
// as many succeed as are allowed, with one write each.
func TestExactly(t *testing.T) {
	t.Parallel()
	const limit = 50
	store, servers := framework.Replicas(t, 2, dualStack)
	newQuota(t, servers[0], "team", map[string]int64{"nodeports": limit})
	writes(t, store.Client, "the creates", limit, func() {
		if created := createConcurrently(t, servers, "a", 4); created != limit {
			t.Errorf("%d Services were created, want %d", created, limit)
		}
	})
	expectUsed(t, "team", map[string]int64{"nodeports": limit}, servers...)
	expectPermits(t, store.Client, 2*limit)
	framework.Verify(t, store.Client)
	// A permit was written by the transaction of its Service.
	contents := framework.Read(t, store.Client)
	written := map[string]int{}
	for _, permit := range contents.Permits {
		written[permit.Version]++
	}
	for i := range contents.Services {
		if n := written[contents.Services[i].ResourceVersion]; n != 2 {
			t.Errorf("%d keys of permits were written with %s", n, contents.Services[i].Name)
		}
	}
}

// TestQuotaAmongCreates makes a quota while clients of two replicas create Services. It holds
// for every create that begins later.
func TestQuotaAmongCreates(t *testing.T) {
	t.Parallel()
	store, servers := framework.Replicas(t, 2, dualStack)
	var creators sync.WaitGroup
	creators.Go(func() { createConcurrently(t, servers, "a", 6) })
	newQuota(t, servers[1], "team", map[string]int64{"nodeports": 0})
	if created := createConcurrently(t, servers, "b", 1); created != 0 {
		t.Errorf("%d Services were created under a quota of none", created)
	}
	creators.Wait()
	list, err := servicesOf(servers[0]).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expectUsed(t, "team", map[string]int64{"nodeports": int64(len(list.Items))}, servers...)
	framework.Verify(t, store.Client)
}

// TestChurnAtLimit has clients of two replicas create and delete Services at the limit of a
// quota. It is never exceeded, and at the end nothing is used.
func TestChurnAtLimit(t *testing.T) {
	t.Parallel()
	const limit, rounds = 8, 6
	store, servers := framework.Replicas(t, 2, dualStack)
	newQuota(t, servers[0], "team", map[string]int64{"nodeports": limit})
	var held, most atomic.Int64
	var all sync.WaitGroup
	for client := range clients {
		services := servicesOf(servers[client%2])
		all.Go(func() {
			for range rounds {
				name := fmt.Sprint("web-", client)
				_, err := services.Create(t.Context(), service(name, corev1.ServiceTypeNodePort, 1), metav1.CreateOptions{})
				if apierrors.IsForbidden(err) || apierrors.IsTooManyRequests(err) {
					continue
				}
				if err != nil {
					t.Error(err)
					continue
				}
				now := held.Add(1)
				for was := most.Load(); now > was; was = most.Load() {
					if most.CompareAndSwap(was, now) {
						break
					}
				}
				held.Add(-1)
				if err := services.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if most.Load() > limit {
		t.Errorf("%d Services existed at a time", most.Load())
	}
	expectUsed(t, "team", map[string]int64{"nodeports": 0}, servers...)
	expectPermits(t, store.Client, 0)
	framework.Verify(t, store.Client)
}
