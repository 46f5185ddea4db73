package upgrade

import (
	"fmt"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// churn creates and changes Services, and deletes half of them. No write may
// fail.
func churn(t *testing.T, server *framework.Server, client, rounds int) {
	services := server.Client.PortolanV1().Services("default")
	for i := range rounds {
		svc := &v1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("churn-%d-%d", client, i)},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}},
		}
		if _, err := services.Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
			t.Error(err)
			return
		}
		for _, patch := range []string{`{"spec":{"type":"ClusterIP"}}`, `{"spec":{"type":"LoadBalancer"}}`} {
			if _, err := services.Patch(t.Context(), svc.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
				t.Error(err)
			}
		}
		if i%2 == 0 {
			if err := services.Delete(t.Context(), svc.Name, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestMigrateWhileServing migrates back and forth while clients write to two
// replicas. One replica stores JSON, so that there is always something to
// migrate, and every claim is rewritten although the indexes know its revision.
func TestMigrateWhileServing(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, nil)
	replicas = append(replicas, framework.Start(t, func(o *options.Options) {
		framework.On(store)(o)
		variants[1].options(o)
	}))
	const clients, rounds = 4, 25
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() { churn(t, replicas[i%2], i, rounds) })
	}
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	for i := 0; ; i++ {
		v := variants[i%2]
		if stdout, stderr, err := framework.Command(t, "migrate", "--etcd-servers="+store.URL, "--storage-media-type="+v.mediaType); err != nil {
			t.Fatalf("%v\n%s%s", err, stdout, stderr)
		}
		select {
		case <-done:
		default:
			continue
		}
		break
	}
	framework.Verify(t, store.Client)
	left, err := store.Client.Get(t.Context(), keyPrefix+"services/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil || left.Count != clients*(rounds/2) {
		t.Errorf("%d Services are left, %v", left.Count, err)
	}
}
