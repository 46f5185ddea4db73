package pools

import (
	"context"
	"fmt"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

const clients = 32

// TestSharedAndFull has clients of two replicas create and delete Services that share
// addresses, until the pool has none left.
func TestSharedAndFull(t *testing.T) {
	t.Parallel()
	const rounds, keys = 6, 4
	store, replicas := framework.Replicas(t, 2, dualStack)
	newPool(t, replicas[0], "public", cidrs("192.0.2.0/29"))
	framework.Eventually(t, "the second replica knows the pool", func(ctx context.Context) (bool, error) {
		svc, err := servicesOf(replicas[1]).Create(ctx, balancer("probe"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && len(svc.Status.LoadBalancer.Ingress) == 1, err
	})
	var all sync.WaitGroup
	for client := range clients {
		services := servicesOf(replicas[client%2])
		all.Go(func() {
			for round := range rounds {
				name := fmt.Sprintf("web-%d-%d", client, round)
				svc := balancer(name, sharing(fmt.Sprint("key-", client%keys)), onPort(int32(1000+client)))
				if client%8 == 7 {
					delete(svc.Annotations, v1.LoadBalancerSharingKeyAnnotation)
				}
				if _, err := services.Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
					t.Error(err)
				}
				if round == rounds-1 {
					return
				}
				if err := services.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	framework.Verify(t, store.Client)
	expectHeldOnce(t, replicas[0])
	if err := servicesOf(replicas[1]).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	expectClaims(t, replicas[0])
	framework.Verify(t, store.Client)
}

// expectHeldOnce wants no two Services to serve one port of one address.
func expectHeldOnce(t *testing.T, server *framework.Server) {
	t.Helper()
	list, err := servicesOf(server).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]string{}
	for i := range list.Items {
		svc := &list.Items[i]
		for _, address := range addresses(svc) {
			for _, port := range svc.Spec.Ports {
				key := fmt.Sprintf("%s %s %d", address, port.Protocol, port.Port)
				if other, taken := served[key]; taken {
					t.Errorf("%s and %s both have %s", svc.Name, other, key)
				}
				served[key] = svc.Name
			}
		}
	}
}

// TestOnePortForOne has all clients want the same port of the same address.
func TestOnePortForOne(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, dualStack)
	newPool(t, replicas[0], "public", cidrs("192.0.2.8/32"))
	framework.Eventually(t, "the second replica knows the pool", func(ctx context.Context) (bool, error) {
		svc, err := servicesOf(replicas[1]).Create(ctx, balancer("probe"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && len(svc.Status.LoadBalancer.Ingress) == 1, err
	})
	for round := range 5 {
		raceForPorts(t, replicas, round)
		expectHeldOnce(t, replicas[0])
		// A Service waits if it comes while the first one is being written, and the index of
		// a replica may trail. Any update of the Service tries again.
		framework.Eventually(t, "one Service has each port", func(context.Context) (bool, error) {
			served := map[int32]int{}
			for client := range clients {
				svc := patch(t, replicas[client%2], nameIn(round, client), types.MergePatchType, `{}`)
				served[svc.Spec.Ports[0].Port] += len(svc.Status.LoadBalancer.Ingress)
			}
			return served[80] == 1 && served[81] == 1 && served[82] == 1 && served[83] == 1, fmt.Errorf("round %d: %v", round, served)
		})
		framework.Verify(t, store.Client)
		if err := servicesOf(replicas[round%2]).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			t.Error(err)
		}
		expectClaims(t, replicas[0])
	}
	framework.Verify(t, store.Client)
}

func nameIn(round, client int) string { return fmt.Sprintf("web-%d-%d", round, client) }

// raceForPorts has all clients create a Service at the same time, on one of four ports.
func raceForPorts(t *testing.T, replicas []*framework.Server, round int) {
	t.Helper()
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			svc := balancer(nameIn(round, client), sharing("k"), onPort(int32(80+client%4)))
			if _, err := servicesOf(replicas[client%2]).Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
