package api

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// BenchmarkCreateWithRanges creates Services with 32 clients, with one range and with 100 more
// that select the namespaces and Services of a team each. Compare the server's CPU time of a
// whole request: the wall clock of a machine that is busy with other things tells nothing.
func BenchmarkCreateWithRanges(b *testing.B) {
	for _, teams := range []int{0, 100} {
		b.Run(fmt.Sprintf("teams=%d", teams), func(b *testing.B) {
			server := framework.Spawn(b, b.TempDir(), "--service-cluster-ip-range=10.200.0.0/16")
			server.WaitReady(b)
			createTeams(b, server, teams)
			services := server.Client(b).PortolanV1().Services("team")
			var next atomic.Int64
			before := server.Usage(b).CPU
			b.ResetTimer()
			var clients sync.WaitGroup
			for range 32 {
				clients.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						svc := serviceWith(fmt.Sprintf("s%d", i))
						svc.Labels = map[string]string{"app": "web"}
						if _, err := services.Create(b.Context(), svc, metav1.CreateOptions{}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			clients.Wait()
			b.ReportMetric(float64((server.Usage(b).CPU-before)/time.Microsecond)/float64(b.N), "server-cpu-µs/op")
		})
	}
}

// createTeams creates the namespace team, and ranges. The namespace's range is one in the
// middle.
func createTeams(b *testing.B, server *framework.Process, teams int) {
	b.Helper()
	core, err := kubernetes.NewForConfig(server.Config(b))
	if err != nil {
		b.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team", Labels: map[string]string{"team": "50"}}}
	if _, err := core.CoreV1().Namespaces().Create(b.Context(), namespace, metav1.CreateOptions{}); err != nil {
		b.Fatal(err)
	}
	for i := range teams {
		team := &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("team-%d", i)}, Spec: v1.ServiceCIDRSpec{
			CIDRs:             []string{fmt.Sprintf("10.%d.0.0/16", i)},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": fmt.Sprint(i)}},
			ServiceSelector:   &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		}}
		if _, err := server.Client(b).PortolanV1().ServiceCIDRs().Create(b.Context(), team, metav1.CreateOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
