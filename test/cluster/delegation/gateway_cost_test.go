//go:build e2e

package delegation

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/test/framework"
)

const (
	costGets, costLists, costPods  = 3000, 10, 5000
	costWatches, costWatchedEvents = 500, 40
)

// cost measures a gateway and kube-apiserver side by side, with the same requests.
type cost struct {
	b       *testing.B
	g       *ground
	gateway *framework.Process
	through *caller
	direct  *caller
	// watching is the gateway's memory while the last watches were open.
	watching int64
}

// side is what one of the two used for its requests. The gateway's requests also cost
// kube-apiserver something, which does not count.
type side struct {
	latencies []time.Duration
	cpu       time.Duration
}

func (s side) median() time.Duration {
	slices.Sort(s.latencies)
	return s.latencies[len(s.latencies)/2]
}

// BenchmarkGateway measures what forwarding costs: gets, lists of 5,000 Pods, and watches.
func BenchmarkGateway(b *testing.B) {
	c := startCost(b)
	for range b.N {
		c.compare("get", costGets, "/api/v1/namespaces/default/pods/pod-0")
		c.compare("list", costLists, "/api/v1/namespaces/default/pods?resourceVersion=0")
		c.compareWatches()
	}
}

func startCost(b *testing.B) *cost {
	b.Helper()
	g := newGround(b)
	certFile, keyFile := g.files(g.front, frontName)
	dir := b.TempDir()
	gateway := framework.Serve(b, dir, framework.FreePort(b), "--kubeconfig="+g.kubeconfig, "--serve-core", "--controllers=false",
		"--proxy-client-cert-file="+certFile, "--proxy-client-key-file="+keyFile)
	gateway.WaitReady(b)
	root := certificateOf(b, g.users, "root", "system:masters")
	c := &cost{
		b: b, g: g, gateway: gateway, through: newCallerAt(b, gateway.As(&rest.Config{}).Host, dir, root, ""),
		direct: newCallerAt(b, g.kube.Config.Host, filepath.Dir(g.kube.Kubeconfig), root, ""),
	}
	var creating sync.WaitGroup
	for worker := range 20 {
		creating.Go(func() {
			for i := worker; i < costPods; i += 20 {
				_, err := g.client.CoreV1().Pods("default").Create(b.Context(), &corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pod-%d", i), Labels: map[string]string{"app": "web", "worker": fmt.Sprint(worker)}},
					Spec:       corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "c", Image: "example.com/web"}}},
				}, metav1.CreateOptions{})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	creating.Wait()
	return c
}

// cpu is what the gateway and kube-apiserver have used so far.
func (c *cost) cpu() (gateway, kube time.Duration) {
	c.b.Helper()
	usage, _, err := c.g.kube.Usage()
	if err != nil {
		c.b.Fatal(err)
	}
	return c.gateway.Usage(c.b).CPU, usage.CPU
}

// compare sends requests in turn through the gateway and past it, in blocks.
func (c *cost) compare(name string, n int, path string) {
	c.b.Helper()
	const blocks = 10
	var through, direct side
	for range blocks {
		before, _ := c.cpu()
		through.latencies = append(through.latencies, c.send(c.through, n/blocks, path)...)
		after, kubeBefore := c.cpu()
		through.cpu += after - before
		direct.latencies = append(direct.latencies, c.send(c.direct, n/blocks, path)...)
		_, kubeAfter := c.cpu()
		direct.cpu += kubeAfter - kubeBefore
	}
	c.report(name, through, direct)
}

func (c *cost) send(from *caller, n int, path string) (latencies []time.Duration) {
	c.b.Helper()
	for range n {
		request, err := http.NewRequestWithContext(c.b.Context(), http.MethodGet, from.url+path, nil)
		if err != nil {
			c.b.Fatal(err)
		}
		begin := time.Now()
		response, err := from.client.Do(request)
		if err != nil {
			c.b.Fatal(err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			c.b.Fatalf("%s: %s %v", path, response.Status, err)
		}
		latencies = append(latencies, time.Since(begin))
	}
	return latencies
}

func (c *cost) report(name string, through, direct side) {
	c.b.Helper()
	added, ratio := through.median()-direct.median(), float64(through.cpu)/float64(direct.cpu)
	c.b.Logf("%-6s median %v, direct %v, added %v; CPU %v, kube-apiserver's %v, ratio %.2f", name, through.median(), direct.median(), added,
		through.cpu, direct.cpu, ratio)
	c.b.ReportMetric(float64(added.Microseconds()), name+"-added-µs")
	c.b.ReportMetric(ratio, name+"-cpu-ratio")
}

// compareWatches has many watches get changes, through the gateway and past it, and
// measures the gateway's memory for a watch.
func (c *cost) compareWatches() {
	c.b.Helper()
	idle := c.gateway.Usage(c.b).Resident
	before, _ := c.cpu()
	through := side{latencies: c.watch(c.through)}
	after, _ := c.cpu()
	through.cpu = after - before
	watching := c.watching
	_, kubeBefore := c.cpu()
	direct := side{latencies: c.watch(c.direct)}
	_, kubeAfter := c.cpu()
	direct.cpu = kubeAfter - kubeBefore
	c.report("watch", through, direct)
	perWatch := (watching - idle) / costWatches
	c.b.Logf("resident memory %d MiB, %d MiB after %d watches: %d KiB for each", idle>>20, watching>>20, costWatches, perWatch>>10)
	c.b.ReportMetric(float64(perWatch>>10), "KiB/watch")
}

// watch opens watches, changes an object, and returns how long it takes each time until
// all watches have the change.
func (c *cost) watch(from *caller) (latencies []time.Duration) {
	c.b.Helper()
	ctx, cancel := context.WithCancel(c.b.Context())
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	marks := make(chan struct{}, costWatches*costWatchedEvents)
	configMaps := c.g.client.CoreV1().ConfigMaps("default")
	list, err := configMaps.List(ctx, metav1.ListOptions{})
	if err != nil {
		c.b.Fatal(err)
	}
	for range costWatches {
		path := from.url + "/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=" + list.ResourceVersion
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
		if err != nil {
			c.b.Fatal(err)
		}
		client := *from.client
		client.Timeout = 0
		response, err := client.Do(request)
		if err != nil {
			c.b.Fatal(err)
		}
		watching.Go(func() {
			defer response.Body.Close()
			lines := bufio.NewReader(response.Body)
			for {
				line, err := lines.ReadBytes('\n')
				if err != nil {
					return
				}
				if bytes.Contains(line, []byte(`"mark-`)) {
					marks <- struct{}{}
				}
			}
		})
	}
	for range costWatchedEvents {
		begin := time.Now()
		_, err := configMaps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "mark-"}, Data: map[string]string{"text": string(bytes.Repeat([]byte("x"), 1000))},
		}, metav1.CreateOptions{})
		if err != nil {
			c.b.Fatal(err)
		}
		for range costWatches {
			select {
			case <-marks:
			case <-time.After(timeout):
				c.b.Fatal("a watch misses a change")
			}
		}
		latencies = append(latencies, time.Since(begin))
	}
	c.watching = c.gateway.Usage(c.b).Resident
	return latencies
}
