package kill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestKillAtQuota kills a server while clients create, change and delete Services at the limit
// of a ClaimQuota. The store is sound after each kill, and no permit is left at the end.
func TestKillAtQuota(t *testing.T) {
	t.Parallel()
	const limit = 4
	n := 10
	if testing.Short() {
		n = 3
	}
	random := framework.Random(framework.Seed(t), maxClients+2)
	dir, port := t.TempDir(), framework.FreePort(t)
	for range n {
		server := framework.Serve(t, dir, port, ranges...)
		server.WaitReady(t)
		client := server.Client(t)
		quota := &v1.ClaimQuota{ObjectMeta: metav1.ObjectMeta{Name: "limit"}}
		quota.Spec.Hard = map[string]int64{v1.NodePortQuota: limit, v1.ClusterIPv4Quota: limit}
		if _, err := client.PortolanV1().ClaimQuotas(namespace).Create(t.Context(), quota, metav1.CreateOptions{}); err != nil &&
			!apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for id := range 2 * limit {
			own := rand.New(rand.NewPCG(random.Uint64(), 0))
			all.Go(func() { writeUnderQuota(ctx, client, own, fmt.Sprint("limited-", id)) })
		}
		time.Sleep(time.Duration(random.Int64N(int64(maxLife))))
		server.Kill(t)
		stop()
		all.Wait()
		expectSound(t, dir)
	}
	server := framework.Serve(t, dir, port, ranges...)
	server.WaitReady(t)
	client := server.Client(t).PortolanV1()
	quota, err := client.ClaimQuotas(namespace).Get(t.Context(), "limit", metav1.GetOptions{})
	if err != nil || quota.Status.Used[v1.NodePortQuota] > limit || quota.Status.Used[v1.ClusterIPv4Quota] > limit {
		t.Errorf("the quota shows %+v, %v", quota.Status, err)
	}
	if err := client.Services(namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	quota, err = client.ClaimQuotas(namespace).Get(t.Context(), "limit", metav1.GetOptions{})
	if err != nil || quota.Status.Used[v1.NodePortQuota]+quota.Status.Used[v1.ClusterIPv4Quota] != 0 {
		t.Errorf("with no Service the quota shows %+v, %v", quota.Status, err)
	}
	server.Kill(t)
	expectSound(t, dir)
}

// writeUnderQuota creates, changes and deletes a Service. Any answer is allowed, as it may be
// that of a server that is being killed: the store is what counts.
func writeUnderQuota(ctx context.Context, client versioned.Interface, random *rand.Rand, name string) {
	services := client.PortolanV1().Services(namespace)
	types := []corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort}
	svc := func() *v1.Service {
		return framework.NewService(namespace, name, func(svc *v1.Service) {
			svc.Spec.Type = types[random.IntN(len(types))]
			svc.Spec.Ports = []corev1.ServicePort{{Port: 80}}
		})
	}
	for ctx.Err() == nil {
		switch random.IntN(3) {
		case 0:
			_, _ = services.Create(ctx, svc(), metav1.CreateOptions{})
		case 1:
			_, _ = services.Update(ctx, svc(), metav1.UpdateOptions{})
		default:
			_ = services.Delete(ctx, name, metav1.DeleteOptions{})
		}
	}
}
