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
	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/test/framework"
)

// sharers is how many Services share the only address of a pool.
const sharers = 5

// TestKillShared kills a server while Services join and leave the holders of one
// load-balancer address, and change their ports.
func TestKillShared(t *testing.T) {
	t.Parallel()
	n := 10
	if testing.Short() {
		n = 3
	}
	random := framework.Random(framework.Seed(t), maxClients+1)
	dir, port := t.TempDir(), framework.FreePort(t)
	for range n {
		server := framework.Serve(t, dir, port, ranges...)
		server.WaitReady(t)
		client := server.Client(t)
		createSharedPool(t, client)
		shareUntilKilled(t, client, random, func() {
			time.Sleep(time.Duration(random.Int64N(int64(maxLife))))
			server.Kill(t)
		})
		expectSound(t, dir)
	}
	server := framework.Serve(t, dir, port, ranges...)
	server.WaitReady(t)
	client := server.Client(t)
	if err := client.PortolanV1().Services(namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	left, err := client.PortolanV1().LoadBalancerIPs().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(left.Items) > 0 {
		t.Errorf("with no Service there are the claims %+v, error %v", left.Items, err)
	}
	server.Kill(t)
	expectSound(t, dir)
}

func createSharedPool(t *testing.T, client versioned.Interface) {
	t.Helper()
	pool := &v1.LoadBalancerPool{ObjectMeta: metav1.ObjectMeta{Name: "public"}, Spec: v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.8/32"}}}
	_, err := client.PortolanV1().LoadBalancerPools().Create(t.Context(), pool, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// shareUntilKilled writes the Services, each from a client of its own, until a function
// has killed the server.
func shareUntilKilled(t *testing.T, client versioned.Interface, random *rand.Rand, kill func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for id := range sharers {
		own := rand.New(rand.NewPCG(random.Uint64(), 0))
		all.Go(func() { shareOne(ctx, client, own, id) })
	}
	kill()
	stop()
	all.Wait()
}

// shareOne creates, changes and deletes a Service. Any answer is allowed, as it may be that
// of a server that is being killed: the store is what counts.
func shareOne(ctx context.Context, client versioned.Interface, random *rand.Rand, id int) {
	services, name := client.PortolanV1().Services(namespace), fmt.Sprint("sharer-", id)
	svc := func() *v1.Service {
		return framework.NewService(namespace, name, func(svc *v1.Service) {
			svc.Annotations = map[string]string{v1.LoadBalancerSharingKeyAnnotation: "k"}
			svc.Spec.Type = corev1.ServiceTypeLoadBalancer
			svc.Spec.Ports = []corev1.ServicePort{{Name: "a", Port: int32(10*id + 1 + random.IntN(12))}}
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

// expectSound checks a data directory that no server uses.
func expectSound(t *testing.T, dir string) {
	t.Helper()
	opened, err := etcd.StartEmbedded(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	report := framework.Check(t, opened.Client)
	closeStore(t, opened)
	for _, violation := range report.Violations {
		t.Error(violation)
	}
	t.Logf("%d Services hold %d load-balancer addresses", report.Services, report.LoadBalancerAddressesHeld)
}
