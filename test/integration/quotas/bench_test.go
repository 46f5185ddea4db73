package quotas

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// BenchmarkCreate creates Services in one namespace with 32 clients, without a ClaimQuota and
// with one. Compare the server's CPU time per request. Wall-clock times of a busy machine mean
// nothing.
func BenchmarkCreate(b *testing.B) {
	for _, limits := range []int{0, 1} {
		b.Run(fmt.Sprintf("limits=%d", limits), func(b *testing.B) {
			server := framework.Spawn(b, b.TempDir(), "--service-cluster-ip-range=10.96.0.0/16")
			server.WaitReady(b)
			client := server.Client(b).PortolanV1()
			if limits > 0 {
				quota := &v1.ClaimQuota{ObjectMeta: metav1.ObjectMeta{Name: "team"}}
				quota.Spec.Hard = map[string]int64{v1.ClusterIPv4Quota: 60000}
				if _, err := client.ClaimQuotas("default").Create(b.Context(), quota, metav1.CreateOptions{}); err != nil {
					b.Fatal(err)
				}
			}
			var next atomic.Int64
			before := server.Usage(b).CPU
			b.ResetTimer()
			var all sync.WaitGroup
			for range clients {
				all.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						svc := service(fmt.Sprint("s", i), corev1.ServiceTypeClusterIP, 1)
						if _, err := client.Services("default").Create(b.Context(), svc, metav1.CreateOptions{}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64((server.Usage(b).CPU-before)/time.Microsecond)/float64(b.N), "server-cpu-µs/op")
		})
	}
}
