//go:build e2e

package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/test/framework"
)

const (
	benchPods = 5000
	// burst is how many Pods change at a time.
	burst = 100
)

// BenchmarkReadiness measures the time from the write of a Pod's readiness
// until a watch on EndpointSlices shows it, in a cluster of 5,000 Pods that
// change one at a time or many at a time. It measures kube-controller-manager
// in the same cluster as well. While one of the two is measured, the other has
// no Services.
func BenchmarkReadiness(b *testing.B) {
	f := newFixture(b)
	f.createBenchPods()
	for _, layout := range []struct {
		name     string
		services int
	}{{"one Service of 5000 Pods", 1}, {"500 Services of 10 Pods", 500}} {
		for _, side := range []struct {
			name   string
			client kubernetes.Interface
		}{{"portolan", f.portolan}, {"kube-controller-manager", f.kube}} {
			seen := f.createBenchServices(b, side.client, layout.services)
			b.Run(layout.name+"/one at a time/"+side.name, func(b *testing.B) {
				var took []time.Duration
				for b.Loop() {
					pod := len(took) % benchPods
					took = append(took, seen.measure(f, []int{pod}))
				}
				report(b, took)
			})
			b.Run(fmt.Sprintf("%s/%d at a time/%s", layout.name, burst, side.name), func(b *testing.B) {
				var took []time.Duration
				for b.Loop() {
					var pods []int
					for i := range burst {
						pods = append(pods, (len(took)*burst+i*37)%benchPods)
					}
					took = append(took, seen.measure(f, pods))
				}
				report(b, took)
			})
			seen.stop()
			f.deleteBenchServices(b, side.client, layout.services)
		}
	}
}

// report reports the median, the 99th percentile and the maximum, in ms.
func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	at := func(share float64) float64 {
		return float64(took[min(len(took)-1, int(share*float64(len(took))))].Microseconds()) / 1000
	}
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
}

func podName(i int) string { return fmt.Sprintf("pod-%04d", i) }

// parallel calls a function for each number, with several workers.
func parallel(count int, do func(i int)) {
	var running sync.WaitGroup
	numbers := make(chan int)
	for range 16 {
		running.Go(func() {
			for i := range numbers {
				do(i)
			}
		})
	}
	for i := range count {
		numbers <- i
	}
	close(numbers)
	running.Wait()
}

func (f *fixture) createBenchPods() {
	parallel(benchPods, func(i int) {
		f.createPod(podName(i), map[string]string{"app": "all", "shard": fmt.Sprint(i / 10)}, nil)
		f.setStatus(podName(i), no, running, fmt.Sprintf("10.%d.%d.%d", 1+i/62500, i/250%250, i%250))
	})
}

func benchService(i, of int) *corev1.Service {
	template := framework.NewService(namespace, fmt.Sprint("svc-", i), nil)
	service := &corev1.Service{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	if service.Spec.Selector = map[string]string{"app": "all"}; of > 1 {
		service.Spec.Selector = map[string]string{"shard": fmt.Sprint(i)}
	}
	return service
}

// createBenchServices creates Services and returns when their slices have all
// Pods.
func (f *fixture) createBenchServices(b *testing.B, client kubernetes.Interface, count int) *watcher {
	b.Helper()
	seen := newWatcher(b, client)
	parallel(count, func(i int) {
		if _, err := client.CoreV1().Services(namespace).Create(b.Context(), benchService(i, count), metav1.CreateOptions{}); err != nil {
			b.Error(err)
		}
	})
	seen.await(func() bool { return len(seen.ready) == benchPods })
	return seen
}

// deleteBenchServices deletes the slices as well, because no garbage collector
// runs in the cluster.
func (f *fixture) deleteBenchServices(b *testing.B, client kubernetes.Interface, count int) {
	b.Helper()
	parallel(count, func(i int) {
		if err := client.CoreV1().Services(namespace).Delete(b.Context(), fmt.Sprint("svc-", i), metav1.DeleteOptions{}); err != nil {
			b.Error(err)
		}
	})
	if err := client.DiscoveryV1().EndpointSlices(namespace).DeleteCollection(b.Context(), metav1.DeleteOptions{},
		metav1.ListOptions{}); err != nil {
		b.Fatal(err)
	}
}

// watcher watches slices to know which Pods are ready.
type watcher struct {
	stop func()

	mu      sync.Mutex
	changed *sync.Cond
	ready   map[string]bool
}

func newWatcher(b *testing.B, client kubernetes.Interface) *watcher {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	watch, err := client.DiscoveryV1().EndpointSlices(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	w := &watcher{stop: cancel, ready: map[string]bool{}}
	w.changed = sync.NewCond(&w.mu)
	go func() {
		for event := range watch.ResultChan() {
			slice, ok := event.Object.(*discoveryv1.EndpointSlice)
			if !ok {
				continue
			}
			w.mu.Lock()
			for _, endpoint := range slice.Endpoints {
				w.ready[endpoint.TargetRef.Name] = ptr.Deref(endpoint.Conditions.Ready, false)
			}
			w.mu.Unlock()
			w.changed.Broadcast()
		}
	}()
	return w
}

func (w *watcher) await(holds func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !holds() {
		w.changed.Wait()
	}
}

// measure flips the readiness of Pods, and returns the time from the first
// request until slices show all of them.
func (w *watcher) measure(f *fixture, pods []int) time.Duration {
	want := map[string]bool{}
	w.mu.Lock()
	for _, i := range pods {
		want[podName(i)] = !w.ready[podName(i)]
	}
	w.mu.Unlock()
	started := time.Now()
	parallel(len(pods), func(i int) {
		name := podName(pods[i])
		status := `{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`
		if want[name] {
			status = `{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`
		}
		if _, err := f.kube.CoreV1().Pods(namespace).Patch(f.t.Context(), name, types.StrategicMergePatchType, []byte(status),
			metav1.PatchOptions{}, "status"); err != nil {
			f.t.Error(err)
		}
	})
	w.await(func() bool {
		for name, ready := range want {
			if w.ready[name] != ready {
				return false
			}
		}
		return true
	})
	return time.Since(started)
}
